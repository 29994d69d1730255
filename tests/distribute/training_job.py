"""One process of a training job, which the tests start: `training_job.py STRATEGY DATA DIRECTORY [OPTION=VALUE ...]`.

It trains with the library's own functions, in the process's own TensorFlow, and writes the weights that came out
(the chief) and how the training ended.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path


def main() -> None:
    from dynctr_tf.training.cluster import read_cluster
    from dynctr_tf.training.strategies import is_chief, make_strategy
    from dynctr_tf.training.workers import serve_chief, wait_for_all

    name, data_directory, directory = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    options = {"optimizers": "lazy_adam", "epochs": 2, "batch_size": 64, "evaluate_every": None, "l2": 0.0, "seed": 0}
    options["read"] = False
    for word in sys.argv[4:]:
        key, _, value = word.partition("=")
        assert key in options, key
        options[key] = value if key == "optimizers" else json.loads(value)

    if name == "parameter_server":
        cluster = read_cluster(name)
        if not cluster.is_chief:
            serve_chief(cluster, grace_seconds=120.0)
            return
        strategy = make_strategy(name, shard_rows=100)
    else:
        strategy = make_strategy(name, replicas=2 if name == "mirrored" else None)

    import numpy as np
    from tensorflow import keras

    from dynctr_tf.encoding import EncodedDataset
    from dynctr_tf.models import Deep, Embedding
    from dynctr_tf.models.catalogue import build_model
    from dynctr_tf.optimizers import Adam, LazyAdam, dynint_optimizer
    from dynctr_tf.training import predict_logits, set_seed, train

    data = EncodedDataset.open(data_directory)
    makers = {
        "adam": lambda: Adam(0.01),
        "lazy_adam": lambda: LazyAdam(0.01),
        "group_ftrl": lambda: dynint_optimizer(batch_size=options["batch_size"]),
    }
    if options["read"]:
        from dynctr_tf.training.replica_batches import replica_batches

        size = options["batch_size"]
        mine = []
        for inputs, labels, weights in replica_batches(strategy, data.batches("train", size, shuffle=True), size):
            (fields,), (label,), (weight,) = map(
                strategy.experimental_local_results, (inputs["fields"], labels, weights)
            )
            rows = np.concatenate([fields.numpy(), label.numpy()[:, np.newaxis]], axis=1)
            mine.append(rows[weight.numpy() > 0])
        number = strategy.cluster_resolver.task_id
        np.save(directory / f"read-{number}.npy", np.concatenate(mine))

    for kind in options["optimizers"].split(","):
        set_seed(options["seed"], deterministic=name != "parameter_server")
        keras.backend.clear_session()
        with strategy.scope():
            model = build_model(
                "deepfm",
                data.features,
                embedding=Embedding(4, row_regularizer_l2=options["l2"]),
                deep=Deep((16,)),
            )
            optimizer = makers[kind]()
        start = [np.array(weight) for weight in model.get_weights()]
        result = train(
            model,
            data,
            optimizer,
            directory=directory / kind,
            batch_size=options["batch_size"],
            epochs=options["epochs"],
            evaluate_every=options["evaluate_every"],
            patience=0,
            seed=options["seed"],
            tensorboard=False,
        )
        logits = predict_logits(model, data, "test", 100)
        if is_chief(strategy):
            weights = {f"w{number}": np.array(weight) for number, weight in enumerate(model.get_weights())}
            starts = {f"s{number}": weight for number, weight in enumerate(start)}
            np.savez(directory / f"{kind}.npz", logits=logits, **weights, **starts)
            shapes = {weight.name: list(weight.shape) for weight in model.weights}
            figures = {**dataclasses.asdict(result), "shapes": shapes, "devices": placements(model)}
            (directory / f"{kind}.json").write_text(json.dumps(figures))
        wait_for_all(strategy)
        print(kind, "trained", result.steps, "resumed at", result.resumed_at, "process", os.getpid(), flush=True)


def placements(model: object) -> dict[str, str]:
    """The device of every trainable weight."""
    from dynctr_tf.stack import raw_variable

    return {str(weight.name): str(raw_variable(weight).device) for weight in model.trainable_weights}  # type: ignore


if __name__ == "__main__":
    main()
