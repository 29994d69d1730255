"""Whether input keeps up with each worker: rows/s that it reads alone, and its waiting for rows while it trains.

`python -m pipelines.benchmarks.worker_input --strategy multi_worker --steps 200`, started in every process of the
cluster with its TF_CONFIG as `train` is, or alone without a strategy. Each worker prints a line. Under parameter
servers the chief reads for all workers, and `train` itself says whether it keeps up.

With `--store-latency 50 --store-rate 25` the rows come from a stand-in for a bucket (`slow_store`) in place of the
disk. Each request waits 50 ms, then its bytes come at 25 MB/s; `--data.readers` says how many requests there are at a
time. Give so many steps that all rows are read several times: what is read ahead before the first step counts for
nothing then.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from dynctr_tf.jobs.option_tables import table_options
from dynctr_tf.jobs.settings import JobSettings
from pipelines import PAIRS, errors_as_messages
from pipelines.benchmarks.slow_store import in_slow_store
from pipelines.settings_parser import SettingsParser


def run(settings: JobSettings, steps: int, store: tuple[float, float] | None = None) -> dict[str, float]:
    """Measures this worker and prints a line.

    Args:
        settings: The settings of a training.
        steps: The steps that are read, and those that are trained.
        store: The latency of a request in milliseconds, and its MB/s, of a store that the encoded rows are read from.
            Default `None`: the disk.

    Returns:
        `"rows_read"`, its own rows/s without training; `"rows_trained"`, its own rows/s; `"waiting"`, the share of the
        training in which it waits for rows.

    Raises:
        ValueError: Parameter servers, or what `train` refuses.
    """
    if settings.training.strategy == "parameter_server":
        raise ValueError("Under parameter servers the chief reads for all workers: `train` prints its rate.")

    import tensorflow as tf
    from tensorflow import keras

    from dynctr_tf.encoding import EncodedDataset
    from dynctr_tf.jobs.preparing import prepare
    from dynctr_tf.jobs.stages import build_for_training, complete_settings, task_of_cluster, training_strategy
    from dynctr_tf.training.fit import model_inputs
    from dynctr_tf.training.replica_batches import replica_batches
    from dynctr_tf.training.strategies import in_step
    from dynctr_tf.training.workers import wait_for_all

    strategy, cluster = training_strategy(settings), task_of_cluster(settings)
    data = prepare(settings.data, cluster)
    if store is not None:
        uri = in_slow_store(Path(data.directory), store[0] / 1e3, store[1] * 1e6)
        data = EncodedDataset.open(uri, readers=settings.data.readers)
    settings = complete_settings(settings, data, say=False)
    batch_size = settings.training.batch_size or 1
    model, optimizer = build_for_training(settings, data.features)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    batches = data.batches("train", batch_size, shuffle=True, seed=settings.training.seed, epochs=None)
    batches = model_inputs(model, batches)
    together = in_step(strategy)
    mine = replica_batches(strategy, batches, batch_size) if together else batches.prefetch(2)
    workers = 1 if cluster is None else sum(len(addresses) for addresses in cluster.jobs.values())
    own_rows = batch_size / workers

    @tf.function
    def train(batch: object) -> tf.Tensor:
        losses = strategy.run(lambda *own: model.train_step(own)["loss"], args=batch)
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    def read(count: int) -> float:
        start = time.perf_counter()
        rows = iter(mine)
        for _ in range(count):
            next(rows)
        return time.perf_counter() - start

    reading = read(steps)
    rows = iter(mine)
    float(train(next(rows)))  # traced
    wait_for_all(strategy)
    waiting, start = 0.0, time.perf_counter()
    for _ in range(steps):
        before = time.perf_counter()
        batch = next(rows)
        waiting += time.perf_counter() - before
        float(train(batch))
    seconds = time.perf_counter() - start
    found = {
        "rows_read": steps * own_rows / reading,
        "rows_trained": steps * own_rows / seconds,
        "waiting": waiting / seconds,
    }
    readers = "" if data.readers is None else f" by {data.readers} {'reader' if data.readers == 1 else 'readers'}"
    worker = "one process" if cluster is None else f"{cluster.task_type} {cluster.task_index} of {workers}"
    print(
        f"{worker}: reads {found['rows_read']:,.0f} rows/s of its own{readers}, "
        f"trains on {found['rows_trained']:,.0f} rows/s, "
        f"waits for rows {found['waiting']:.1%} of the time ({steps} steps, global batch {batch_size:,})",
        flush=True,
    )
    wait_for_all(strategy)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and measures."""
    parser = SettingsParser(
        __doc__ or "",
        ["data", "model", "optimizer", "training"],
        prog="python -m pipelines.benchmarks.worker_input",
        pairs=PAIRS,
        table_options=table_options,
    )
    parser.add_argument("--steps", type=int, default=100, help="steps to read, and steps to train; 100 by default")
    parser.add_argument("--store-latency", type=float, metavar="MS", help="rows from a store: what a request waits")
    parser.add_argument("--store-rate", type=float, metavar="MB_PER_S", help="and the rate of the bytes of one request")
    settings, namespace = parser.parse_settings(arguments)
    if namespace.steps < 1:
        parser.error(f"--steps must be at least 1, got {namespace.steps}.")
    latency, rate = namespace.store_latency, namespace.store_rate
    if (latency is None) != (rate is None):
        parser.error("Give --store-latency and --store-rate together, or neither for rows on the disk.")
    if latency is not None and not (0 <= latency < float("inf") and 0 < rate < float("inf")):
        parser.error(f"--store-latency must be at least 0 and --store-rate above 0, got {latency:g} and {rate:g}.")
    with errors_as_messages(parser):
        run(settings, namespace.steps, None if latency is None else (latency, rate))


if __name__ == "__main__":
    main()
