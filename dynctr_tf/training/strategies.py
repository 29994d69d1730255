"""Makes the `tf.distribute` strategy of a job, says what kind a strategy is, and reads the weights under it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.training.cluster import JOBS, Cluster, read_cluster
from dynctr_tf.training.partners import say_who_listens, saying_who_is_awaited

STRATEGIES = ("none", "mirrored", "multi_worker", "parameter_server", "tpu")
"""The names that `make_strategy` knows."""


def check_strategy(name: str) -> None:
    """Refuses a strategy that this stack cannot train with.

    Raises:
        ValueError: An unknown strategy, or one that needs Keras 2, with the lines that make it work.
    """
    if name not in STRATEGIES:
        raise ValueError(unknown_name_message("strategy", name, STRATEGIES))
    if stack.KERAS_3 and name in JOBS:
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
      devices: try a job so before it goes to a machine with GPUs. The logged training loss counts penalties that layers
          add more than once, as Keras keeps those of all replicas in one list; gradients do not.
    * `"multi_worker"`: the same over several machines in step, each started with its TF_CONFIG. Keras 2.
    * `"parameter_server"`: weights on servers, large tables cut into a shard per server, workers out of step.
      The chief, the workers and the servers are all started with the same command and their TF_CONFIG. Keras 2.
    * `"tpu"`: a TPU. The authors of this library have none and have not run it: see `prepare_for_tpu`.

    Build model and optimizer inside `strategy.scope()` and give the model to `train`, which does the rest.

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
    """Makes the strategy, which TensorFlow allows only before its first operation."""
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


def unreplicated_weights(model: Any) -> list[np.ndarray]:
    """The weights of a model whose replicas train in step, as a model on one device takes them in `set_weights`.

    Raises:
        ValueError: Tables lie in shards on parameter servers, whose memory together may exceed that of this process.
    """
    if any(len(stack.shards_of(whole)) > 1 for whole in stack.whole_variables(model.weights)):
        raise ValueError(
            "The model has tables in shards on parameter servers, which are not put together in this process: read the "
            "best weights from the run's folder into a model on one device, with load_best_weights."
        )
    return [tf.convert_to_tensor(stack.raw_variable(weight)).numpy() for weight in model.weights]
