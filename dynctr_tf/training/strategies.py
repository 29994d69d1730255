"""One function that makes the `tf.distribute` strategy of a job, and what a strategy needs around `model.fit`.

Which strategy for which table. Let D be the bytes of the dense weights, V the ids, d the columns of the table
(the first-order weight included), W the workers, B the rows of a global batch and u the distinct ids in the
B / W rows that one worker gets. A number has 4 bytes, an id in a gradient 8.

Per step, a worker sends and receives

| what | bytes |
|---|---|
| dense gradient, ring all-reduce | 2 (W - 1) / W * D each way |
| row-sparse gradient of the table, all-gather | sends (W - 1) u (4 d + 8), receives as much |
| the same table as a dense gradient | 2 (W - 1) / W * 4 V d each way |
| parameter server, the table | sends 8 u (ids), receives 4 d u (rows), sends u (4 d + 8) (gradient) |
| parameter server, the dense weights | receives D, sends D |
| parameter server, the rows of the batch, from the chief | receives 4 B / W * (ids of a row + label and weight) |

The row-sparse gradient does not depend on V. The memory does: mirrored and multi-worker training keep the
table and its slots (two for LazyAdam and GroupFtrl) on every worker, 12 V d bytes; parameter servers share
them. `bytes_per_step` computes all of these for given sizes.

**What follows for throughput**, on paper: each worker takes B / W = 4096 rows of 39 fields in t = 55 ms of
computing, d = 17, D = 1.64 MB, u = 40 000 and a network of S = 1.25 GB/s (10 Gbit/s) each way, nothing overlaps.

| W | multi-worker, MB each way | rows/s | parameter servers, MB each way of a worker | rows/s |
|---|---|---|---|---|
| 1 | 0 | 74 000 | 5.0 | 69 000 |
| 2 | 4.7 | 139 000 | 5.0 | 139 000 |
| 8 | 24.1 | 441 000 | 5.0 | 555 000 |
| 32 | 97.4 | 986 000 | 5.0 | 2 200 000 |
| 64 | 194.7 | 1 240 000 | 5.0 | 4 400 000 |

The rows that all workers touched must reach every worker, so multi-worker training comes to an end at
4096 S / (u (4 d + 8)) = 1.7 million rows/s. With servers a worker's traffic stays the same; the
servers' grows, and P of them carry about 14 P workers, (t + 4 ms) / 4 ms; the chief, which sends the rows, carries
S / (164 bytes) = 7.6 million rows/s. As a dense gradient the table alone would take 0.1 s per step at 1M ids and 8
workers, 9.5 s at 100M and 950 s at 10 billion.

| ids | table and slots (d = 17) | strategy |
|---|---|---|
| 1M | 0.2 GB | none or mirrored; multi_worker where one machine is too slow |
| 100M | 20 GB | mirrored or multi_worker on workers that have the memory, else parameter_server |
| 10 billion | 2 TB | parameter_server, from 20 servers of 128 GB on |

**Who listens.** A process of a `multi_worker` or `parameter_server` job starts TensorFlow's server. Whatever address
`TF_CONFIG` gives it, that server listens on its port of *every* network interface, asks nobody who they are, encrypts
nothing, and does what it is told with the rights of its account: who reaches the port can read and write every file
that the account can. So put around a cluster what the server lacks: a private network of the cluster's machines alone,
or a firewall that lets nobody else to the ports of `TF_CONFIG`; an account of its own without other rights; no port of
it forwarded from outside. In containers, a network policy. Each process says in a line that it listens. Nothing else
that the library starts listens beyond this machine: the workers of a search on one machine talk over 127.0.0.1.

Ids are int32, so that one table has fewer than 2 147 483 648 rows: 10 billion values are hashed into that many, or
shared by five tables.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.embedding import FieldEmbedding
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.optimizers import CompositeOptimizer, SparseOptimizer
from dynctr_tf.training import awaited_partners

STRATEGIES = ("none", "mirrored", "multi_worker", "parameter_server", "tpu")
"""The names that `make_strategy` knows."""

_CLUSTER_EXAMPLE = {
    "multi_worker": '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}',
    "parameter_server": '{"cluster": {"chief": ["host1:2222"], "worker": ["host2:2222", "host3:2222"], '
    '"ps": ["host4:2222"]}, "task": {"type": "chief", "index": 0}}',
}
_JOBS = {"multi_worker": ("chief", "worker"), "parameter_server": ("chief", "worker", "ps")}
_NEEDED = {"multi_worker": ("worker",), "parameter_server": ("chief", "worker", "ps")}


# A name, an IPv4 address or an IPv6 one in brackets, and a port; letters of other scripts are no part of either.
_ADDRESS = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


def _shown(value: Any) -> str:
    """A value for a message, in ASCII and cut where it is long."""
    text = ascii(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _object_of_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one that gives a key twice is refused, for only one of both would count."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {_shown(key)} is given twice")
        found[key] = value
    return found


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that train together, and which of them this one is.

    Attributes:
        jobs: For each job (`"chief"`, `"worker"`, `"ps"`) the `host:port` of its processes.
        task_type: The job of this process.
        task_index: The place of this process in its job.
    """

    jobs: Mapping[str, tuple[str, ...]]
    task_type: str
    task_index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, log and reports."""
        if "chief" in self.jobs:
            return self.task_type == "chief"
        return self.task_type == "worker" and self.task_index == 0


def read_cluster(strategy: str, environment: Mapping[str, str] | None = None) -> Cluster:
    """Reads the cluster from the environment variable TF_CONFIG, which every process of a job has its own of.

    Args:
        strategy: `"multi_worker"` or `"parameter_server"`.
        environment: The environment. Default `None`: that of the process.

    Raises:
        ValueError: No TF_CONFIG, or one that is not JSON, or what it lacks: a job, a task, an address, with an
            example of one that is whole.

    Example:

    >>> words = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
    >>> read_cluster("multi_worker", {"TF_CONFIG": words}).is_chief
    False
    """
    text = (os.environ if environment is None else environment).get("TF_CONFIG")

    def refuse(what: str) -> ValueError:
        return ValueError(
            f"TF_CONFIG for the strategy {strategy!r} {what}. Every process needs the same cluster and its own "
            f"task, such as TF_CONFIG='{_CLUSTER_EXAMPLE[strategy]}'."
        )

    if not text:
        raise refuse("is not set")
    try:
        config = json.loads(text, object_pairs_hook=_object_of_distinct_keys)
    except RecursionError as error:
        raise refuse("is not JSON that can be read: too many lists or objects within one another") from error
    except ValueError as error:  # not JSON, a key given twice, a number of thousands of digits
        raise refuse(f"is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise refuse(f"must be a JSON object, got {_shown(config)}")
    for part in ("cluster", "task"):
        if part not in config:
            raise refuse(f"lacks {part!r}")
        if not isinstance(config[part], dict) or not config[part]:
            raise refuse(f"must give {part!r} as a JSON object that is not empty, got {_shown(config[part])}")
    # TensorFlow reads it again, by itself.
    if config.get("rpc_layer", "grpc") != "grpc":
        raise refuse(f'must leave rpc_layer out, or give it as "grpc", got {_shown(config["rpc_layer"])}')
    jobs: dict[str, tuple[str, ...]] = {}
    for job, addresses in config["cluster"].items():
        if job not in _JOBS[strategy]:
            raise refuse(
                "has a job that the strategy does not use: "
                + unknown_name_message("job", job.encode("ascii", "backslashreplace").decode(), _JOBS[strategy])
            )
        if not isinstance(addresses, list) or not addresses:
            raise refuse(f"must give cluster.{job} as a list of host:port, got {_shown(addresses)}")
        for address in addresses:
            match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
            if match is None or not 0 < int(match[1]) < 65536:
                raise refuse(f"must give each process of cluster.{job} as host:port, got {_shown(address)}")
        jobs[job] = tuple(addresses)
    lacking = [job for job in _NEEDED[strategy] if job not in jobs]
    if lacking:
        raise refuse(f"lacks the job{'s' if len(lacking) > 1 else ''} {', '.join(map(repr, lacking))} in its cluster")
    if len(jobs.get("chief", ())) > 1:
        raise refuse(f"must have one chief, got {list(jobs['chief'])}")
    everywhere = [address for addresses in jobs.values() for address in addresses]
    repeated = sorted({address for address in everywhere if everywhere.count(address) > 1})
    if repeated:
        raise refuse(f"gives the address {repeated[0]!r} to more than one process")
    task = config["task"]
    for part in ("type", "index"):
        if part not in task:
            raise refuse(f"lacks {part!r} in its task")
    kind, index = task["type"], task["index"]
    if not isinstance(kind, str) or kind not in jobs:
        raise refuse(f"has a task of type {_shown(kind)}, which its cluster lacks; its jobs are {sorted(jobs)}")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(jobs[kind]):
        raise refuse(
            f"has the task index {_shown(index)}, but cluster.{kind} has the processes 0 to {len(jobs[kind]) - 1}"
        )
    return Cluster(jobs, kind, index)


def check_strategy(name: str) -> None:
    """Refuses a strategy that this stack cannot train with.

    Raises:
        ValueError: An unknown strategy, or one that needs Keras 2, with the lines that make it work.
    """
    if name not in STRATEGIES:
        raise ValueError(unknown_name_message("strategy", name, STRATEGIES))
    if stack.KERAS_3 and name in _JOBS:
        raise ValueError(
            f"Keras 3 cannot train with the strategy {name!r}; Keras 2 can. Install it with\n"
            "    pip install 'dynctr_tf[tf_keras]'\n"
            "and start every process of the job with the environment variable\n"
            "    TF_USE_LEGACY_KERAS=1"
        )


def make_strategy(
    name: str,
    *,
    replicas: int | None = None,
    tpu_address: str | None = None,
    shard_rows: int = 1 << 14,
) -> tf.distribute.Strategy:
    """Makes the strategy of a job; call it first, before anything else uses TensorFlow in the process.

    * `"none"`: one device.
    * `"mirrored"`: all GPUs of this machine, a copy of the weights on each. Without a GPU, `replicas` logical CPU
      devices, with which a job is tried before it goes to the machine that has them. The logged training loss counts
      penalties that layers add more than once, as Keras keeps those of all replicas in one list; gradients do not.
    * `"multi_worker"`: the same over several machines in step, each started with its TF_CONFIG. Keras 2.
    * `"parameter_server"`: weights on servers, large tables cut into a shard per server, workers out of step.
      The chief, the workers and the servers are all started with the same command and their TF_CONFIG. Keras 2.
    * `"tpu"`: a TPU. Not run by the authors of this library, who have none: see `prepare_for_tpu`.

    Build model and optimizer inside `strategy.scope()` and hand the model to `train`, which does the rest.

    Args:
        name: One of `STRATEGIES`.
        replicas: For `"mirrored"`: how many GPUs, or logical CPU devices where there is no GPU. Default `None`:
            all GPUs.
        tpu_address: For `"tpu"`: the name or address of the TPU. Default `None`: that of this machine.
        shard_rows: For `"parameter_server"`: tables of at least this many rows are spread over the servers, by
            rows; smaller variables lie whole on one server each. Default 16384.

    Raises:
        ValueError: What `check_strategy` and `read_cluster` raise; more replicas than devices, or no GPU and no
            number of replicas; an argument that the strategy does not use; TensorFlow in use already.

    Example:

    >>> make_strategy("none").num_replicas_in_sync
    1
    """
    check_strategy(name)
    if replicas is not None and name != "mirrored":
        raise ValueError(f"replicas belongs to the strategy 'mirrored', got {replicas} with {name!r}; leave it out.")
    if tpu_address is not None and name != "tpu":
        raise ValueError(f"tpu_address belongs to the strategy 'tpu', got {tpu_address!r} with {name!r}; leave it out.")
    if name == "mirrored":
        return _mirrored(replicas)
    if name == "multi_worker":
        cluster = read_cluster(name)
        say_who_listens(cluster)
        with saying_who_is_awaited(cluster):
            return _early(tf.distribute.MultiWorkerMirroredStrategy)
    if name == "parameter_server":
        return _parameter_server(read_cluster(name), shard_rows)
    if name == "tpu":
        return _tpu(tpu_address)
    return tf.distribute.get_strategy()


def _early(make: Callable[[], Any]) -> Any:
    """Makes what TensorFlow allows only before its first operation."""
    try:
        return make()
    except RuntimeError as error:
        raise ValueError(
            f"The strategy must be made before anything else uses TensorFlow in this process ({error}). Call "
            "make_strategy first."
        ) from error


def _mirrored(replicas: int | None) -> tf.distribute.Strategy:
    if replicas is not None and replicas < 1:
        raise ValueError(f"replicas must be at least 1, got {replicas}.")
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if replicas is not None and replicas > len(gpus):
            raise ValueError(f"This machine has {len(gpus)} GPUs, got replicas={replicas}.")
        return tf.distribute.MirroredStrategy([f"GPU:{number}" for number in range(replicas or len(gpus))])
    if replicas is None:
        raise ValueError(
            "The strategy 'mirrored' found no GPU on this machine. For a trial on its CPU give the number of "
            "replicas (--training.replicas 2), or use the strategy 'none'."
        )
    cpu = tf.config.list_physical_devices("CPU")[0]
    _early(lambda: tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas))
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(replicas)])


def _parameter_server(cluster: Cluster, shard_rows: int) -> tf.distribute.Strategy:
    if shard_rows < 1:
        raise ValueError(f"shard_rows must be at least 1, got {shard_rows}.")
    if not cluster.is_chief:
        raise ValueError(
            f"This process is {cluster.task_type} {cluster.task_index}, which serves the chief and makes no strategy: "
            "call serve_chief."
        )
    servers = len(cluster.jobs["ps"])

    def partition(shape: tf.TensorShape, dtype: tf.DType, **_: Any) -> list[int]:
        # Dense kernels have fewer rows, and a layer would put their shards together again at every step.
        spread = shape.rank == 2 and shape[0] >= shard_rows
        return [min(servers, shape[0]) if spread else 1] + [1] * (shape.rank - 1)

    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver(rpc_layer="grpc")
    say_who_listens(cluster)
    with saying_who_is_awaited(cluster):
        return _early(lambda: tf.distribute.ParameterServerStrategy(resolver, variable_partitioner=partition))


def _tpu(address: str | None) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address or "local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise ValueError(
            f"No TPU at {address or 'this machine'} ({reason}). Give its name or grpc:// address "
            "(--training.tpu_address), and install the TensorFlow build for TPUs: pip install tensorflow-tpu."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether several processes train in step."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_parameter_server(strategy: tf.distribute.Strategy) -> bool:
    """Whether weights lie on parameter servers."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def is_tpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether a TPU trains."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def in_step(strategy: tf.distribute.Strategy) -> bool:
    """Whether replicas share every batch, and their gradients are summed."""
    return isinstance(strategy, tf.distribute.MirroredStrategy) or is_multi_worker(strategy) or is_tpu(strategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes checkpoints, log and reports; always, where it trains alone."""
    return bool(strategy.extended.should_checkpoint) if is_multi_worker(strategy) else True


def serve_chief(cluster: Cluster, *, grace_seconds: float = 60.0, poll_seconds: float = 1.0) -> None:
    """Serves the chief of a parameter-server job as the worker or server that this process is.

    Returns when the chief, once seen, has been gone for `grace_seconds`, in which a killed one can be started
    again.

    Args:
        cluster: The cluster, with a task of type `"worker"` or `"ps"`.
        grace_seconds: How long a chief may be away. Default 60.0.
        poll_seconds: How often is looked. Default 1.0.

    Raises:
        ValueError: The task is the chief.
    """
    if cluster.is_chief:
        raise ValueError("The chief does not serve itself: make the strategy with make_strategy.")
    say_who_listens(cluster)
    # A step waits for servers in a thread; on few cores TensorFlow would have no other for what they answer.
    threads = max(os.cpu_count() or 1, len(cluster.jobs["worker"]) + 1, 4)
    server = tf.distribute.Server(
        tf.train.ClusterSpec({job: list(addresses) for job, addresses in cluster.jobs.items()}),
        job_name=cluster.task_type,
        task_index=cluster.task_index,
        protocol="grpc",
        config=tf.compat.v1.ConfigProto(inter_op_parallelism_threads=threads),
    )
    print(f"{cluster.task_type} {cluster.task_index} serves the chief at {server.target}", flush=True)
    host, _, port = cluster.jobs["chief"][0].rpartition(":")
    seen: float | None = None
    started = said = time.monotonic()
    while seen is None or time.monotonic() - seen < grace_seconds:
        try:
            with socket.create_connection((host, int(port)), timeout=5.0):
                seen = time.monotonic()
        except OSError:
            if seen is None and time.monotonic() - said >= _SAY_EVERY:
                said = time.monotonic()
                print(f"waiting for chief 0 ({host}:{port}), {said - started:.0f} s now", flush=True)
        time.sleep(poll_seconds)


_SAY_EVERY = 30.0
_STOPS = (signal.SIGINT, signal.SIGHUP)


def own_address(cluster: Cluster) -> str:
    """The `host:port` that the cluster gives this process."""
    return cluster.jobs[cluster.task_type][cluster.task_index]


def say_who_listens(cluster: Cluster) -> None:
    """Prints that TensorFlow's server listens on every interface, and what that means."""
    port = own_address(cluster).rpartition(":")[2]
    print(
        f"{cluster.task_type} {cluster.task_index} listens on port {port} of every network interface, and TensorFlow "
        "serves whoever connects, with this account's rights: let a firewall keep the port to the cluster's machines",
        flush=True,
    )


def _partners(cluster: Cluster) -> list[tuple[str, str]]:
    own = (cluster.task_type, cluster.task_index)
    return [
        (f"{job} {index}", address)
        for job, addresses in cluster.jobs.items()
        for index, address in enumerate(addresses)
        if (job, index) != own
    ]


def absent_partners(cluster: Cluster) -> list[str]:
    """The other processes of a cluster that nobody can be reached at, as `"worker 1 (host2:2222)"`."""
    return awaited_partners.absent(_partners(cluster))


@contextlib.contextmanager
def saying_who_is_awaited(cluster: Cluster, every: float | None = None) -> Iterator[None]:
    """Within it, every so often a line says for which other processes of the cluster this one waits.

    TensorFlow holds Python's lock while it connects: another process says it, and Ctrl-C ends this one at once, for no
    handler of Python's would run. SIGTERM is TensorFlow's own then, which takes it for a notice and waits on.

    Args:
        cluster: The cluster.
        every: Seconds between two lines. Default `None`: 30.
    """
    given = json.dumps({"partners": _partners(cluster), "every": _SAY_EVERY if every is None else every})
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, signal.SIG_DFL) for number in _STOPS}
    # It ends when its input does, which this process holds open and nobody writes to.
    watcher = subprocess.Popen([sys.executable, "-I", awaited_partners.__file__, given], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        watcher.communicate()
        for number, handler in handlers.items():
            # `None` stands for one that was not set from Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def make_coordinator(strategy: tf.distribute.Strategy) -> Any:
    """Makes the `ClusterCoordinator` of a chief, whose process ends even while a killed worker is awaited.

    TensorFlow's destructor of it takes a lock that the thread which waits for a lost worker holds. When Python ends,
    that thread is frozen with the lock, and the destructor would wait for ever; so it is never called: what it stops
    ends with the process.
    """
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coordinator))
    return coordinator


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers of a multi-worker job have called it; at once under other strategies."""
    if is_multi_worker(strategy):

        @tf.function
        def count() -> tf.Tensor:
            return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.ones([])), axis=None)

        int(count())


def text_of_chief(strategy: tf.distribute.Strategy, text: str = "") -> str:
    """Gives every worker of a multi-worker job the text that the chief passes; all must call it, and wait in it.

    Args:
        strategy: The strategy; under others than multi-worker the text comes back as it is.
        text: The chief's text; what other workers pass is not used.
    """
    if not is_multi_worker(strategy):
        return text

    def total(own: np.ndarray) -> np.ndarray:
        parts = strategy.experimental_distribute_values_from_function(lambda _: tf.constant(own))
        return np.asarray(strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None))

    letters = np.frombuffer(text.encode() if is_chief(strategy) else b"", np.uint8)
    size = int(total(np.array(len(letters), np.int32)))
    own = np.zeros(size, np.int32)
    own[: len(letters)] = letters
    return total(own).astype(np.uint8).tobytes().decode()


_RESTARTS = "DYNCTR_TF_RESTARTS"
# What TensorFlow's collectives raise for want of a worker.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
)


class WorkerLost(BaseException):
    """Another worker of the job is gone. Not an `Exception`, as it ends the process and is no failed trial."""


@contextlib.contextmanager
def lost_workers_end_the_process(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns the errors of a lost worker into `WorkerLost`, where several workers train in step."""
    try:
        yield
    except _LOST as error:
        if is_multi_worker(strategy):
            raise WorkerLost(str(error)) from error
        raise


@contextlib.contextmanager
def restart_when_a_worker_is_lost(max_restarts: int) -> Iterator[None]:
    """Replaces this process by a new one, with the same command line, when training stops for want of another worker.

    A worker that is killed takes the step that was under way with it, and the others get an error from
    TensorFlow, whose collectives cannot take a worker back. Started again they wait for the killed one to be
    started too, and all go on from the last checkpoint.

    Args:
        max_restarts: How often; the count goes from process to process in the environment.
    """
    try:
        yield
    except (*_LOST, WorkerLost) as error:
        done = int(os.environ.get(_RESTARTS, "0"))
        reason = str(error).strip().splitlines()[0][:200]
        if done >= max_restarts:
            raise RuntimeError(
                f"Another worker was lost ({reason}), after {done} restarts. Start all workers again: they go on from "
                "the last checkpoint."
            ) from error
        print(f"another worker was lost ({reason}); starting again ({done + 1} of {max_restarts})", flush=True)
        os.environ[_RESTARTS] = str(done + 1)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def unreplicated_weights(model: Any) -> list[np.ndarray]:
    """The weights of a model under any strategy, as a model on one device takes them in `set_weights`.

    The shards of a table are put together, so the process needs memory for all of it.
    """
    values: list[np.ndarray] = []
    table: list[np.ndarray] = []
    for weight in model.weights:
        shard = re.fullmatch(r".*/part_(\d+)(?::0)?", stack.variable_path(weight))
        if shard is None or int(shard.group(1)) == 0:
            values += [np.concatenate(table)] if table else []
            table = []
        if shard is None:
            values.append(tf.convert_to_tensor(stack.raw_variable(weight)).numpy())
        else:
            table.append(tf.convert_to_tensor(stack.raw_variable(weight)).numpy())
    return values + ([np.concatenate(table)] if table else [])


def prepare_for_tpu(model: Any, optimizer: Any) -> None:
    """Gives everything that runs on the device static shapes: call it before a model is trained on a TPU.

    XLA compiles whole steps for shapes that it knows beforehand, and knows no strings. Strings never come near
    it here: `dynctr_tf.encoding` turns them into ids on the host, once, before training. Batches are filled up to
    one size by `even_batches`. What remains is the number of distinct ids in a batch: the embedding layers here
    stop looking for them, and the optimizers sum the slices of each id by sorting.

    **Not run on a TPU by the authors, who have none**, nor compared step by step under XLA. Who has a TPU should
    first run a training of 100 steps with a small model and compare its log with that of `--strategy none` at
    the same seed and batch size, such as

        python -m pipelines.train --model.name deepfm --training.epochs 1 --strategy tpu

    A table of more than the memory of one core, its two slots included, does not fit: every core holds a copy.

    Args:
        model: The model, built in the scope of the strategy.
        optimizer: One of this library's.

    Raises:
        ValueError: An optimizer that is not one of this library's, one that clips norms, or a penalty on the
            distinct rows of a batch.
    """
    members = optimizer.members() if isinstance(optimizer, CompositeOptimizer) else [optimizer]
    for member in members:
        if not isinstance(member, SparseOptimizer):
            raise ValueError(
                "On a TPU the ids of a batch are not made distinct before the optimizer, and "
                f"{type(member).__name__} is not right with ids that repeat; take LazyAdam, GroupFtrl or SparseAdagrad."
            )
        limits = [name for name in ("clipnorm", "global_clipnorm") if getattr(member, name) is not None]
        if limits:
            raise ValueError(f"{member.name} has {limits[0]}, which a TPU cannot compute for rows; use clipvalue.")
        member.static_shapes = True
    for layer in model.layers:
        if isinstance(layer, FieldEmbedding):
            if layer.row_regularizer_l2:
                raise ValueError(
                    f"{layer.name} has row_regularizer_l2={layer.row_regularizer_l2}, which counts the distinct rows "
                    "of a batch; a TPU has no number of them. Set it to 0, or use the penalties of GroupFtrl."
                )
            layer.deduplicate = False


@dataclasses.dataclass(frozen=True)
class BytesPerStep:
    """What a worker sends and receives in a step, in bytes, and what it has to hold.

    Attributes:
        all_reduce_dense: Both ways, the dense weights, by ring all-reduce (mirrored, multi-worker).
        all_gather_rows: Both ways, the table's gradient as rows (mirrored, multi-worker).
        all_reduce_table: Both ways, the table's gradient if it were dense.
        server_dense: Both ways, the dense weights to and from parameter servers.
        server_rows: Both ways, the touched rows and their gradients, to and from parameter servers.
        server_batch: Received from the chief, the rows of the batch (parameter servers).
        table_and_slots: Held, the table with two slots: by each worker, or shared by the servers.
    """

    all_reduce_dense: int
    all_gather_rows: int
    all_reduce_table: int
    server_dense: int
    server_rows: int
    server_batch: int
    table_and_slots: int

    @property
    def replicated(self) -> int:
        """Both ways, mirrored or multi-worker training."""
        return self.all_reduce_dense + self.all_gather_rows

    @property
    def served(self) -> int:
        """Both ways, a worker of parameter-server training."""
        return self.server_dense + self.server_rows + self.server_batch


def bytes_per_step(
    *, num_ids: int, columns: int, dense_weights: int, batch_rows: int, distinct_rows: int, fields: int, workers: int
) -> BytesPerStep:
    """Computes the bytes of the table at the head of this module.

    Use it to choose a strategy before machines are rented: with S bytes per second of network and t seconds of
    computing for a worker's share of a batch, a step takes about t + bytes / S, where the two do not overlap, and
    W workers do `batch_rows` rows in it.

    Args:
        num_ids: Rows of the table, V.
        columns: Columns of the table, d, with that of the first-order weights.
        dense_weights: Numbers in all other weights.
        batch_rows: Rows of a global batch, B.
        distinct_rows: Distinct ids in the rows of one worker, u.
        fields: Ids of a row.
        workers: Workers, W, of one replica each.

    Raises:
        ValueError: A number below 1.

    Example:

    >>> found = bytes_per_step(
    ...     num_ids=100, columns=4, dense_weights=10, batch_rows=8, distinct_rows=6, fields=2, workers=2
    ... )
    >>> found.all_reduce_dense, found.all_gather_rows, found.all_reduce_table, found.table_and_slots
    (80, 288, 3200, 4800)
    """
    numbers = {
        "num_ids": num_ids,
        "columns": columns,
        "dense_weights": dense_weights,
        "batch_rows": batch_rows,
        "distinct_rows": distinct_rows,
        "fields": fields,
        "workers": workers,
    }
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    ring = 4 * (workers - 1) / workers  # 2 (W - 1) / W out, the same in
    slice_bytes = 4 * columns + 8
    return BytesPerStep(
        all_reduce_dense=round(ring * 4 * dense_weights),
        all_gather_rows=2 * (workers - 1) * distinct_rows * slice_bytes,
        all_reduce_table=round(ring * 4 * num_ids * columns),
        server_dense=2 * 4 * dense_weights,
        server_rows=distinct_rows * (4 * columns + 8 + slice_bytes),
        server_batch=4 * (fields + 2) * batch_rows // workers,
        table_and_slots=3 * 4 * num_ids * columns,
    )
