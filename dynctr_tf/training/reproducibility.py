"""Same seed, same run, on the same machine; and what the machine was."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf.stack import KERAS_3, keep_random_state_in_variables
from dynctr_tf.version import __version__

_PACKAGES = (
    "tensorflow", "keras", "tf_keras", "tensorflow-addons", "tensorflow-datasets", "keras-tuner", "numpy", "pyarrow",
)  # fmt: skip
# Environment variables that change the order of sums or the source of memory.
_VARIABLES = (
    "TF_ENABLE_ONEDNN_OPTS", "TF_CPU_ALLOCATOR_USE_BFC", "TF_USE_LEGACY_KERAS", "TF_XLA_FLAGS", "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "TF_DETERMINISTIC_OPS", "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip


def set_seed(seed: int, *, deterministic: bool = True) -> None:
    """Seeds Python, NumPy and TensorFlow, and optionally asks TensorFlow for operations that repeat to the bit.

    Call it before a model is built: initial weights draw from these seeds, and on Keras 2 dropout in layers made
    after it keeps its state where `train` finds it, so that a resumed run drops what an uninterrupted one does.

    The bits are those of one machine with one number of threads. Sums are cut into as many parts as there are
    threads, so that another number of cores (`TF_NUM_INTRAOP_THREADS`), another processor or another version of
    TensorFlow rounds otherwise: trained weights of about a third of the models then differ by 1e-6, those of AFN by
    1e-4. `machine_record` keeps what a run was made with.

    Args:
        seed: The seed.
        deterministic: Whether operations must give the same bits at each run. Some of them are slower then (on GPUs
            above all). It cannot be switched off again in the same process. Default `True`.
    """
    keras.utils.set_random_seed(seed)
    keep_random_state_in_variables()
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def machine_record() -> dict[str, Any]:
    """Returns the things beside its settings that the numbers of a run depend on: versions, stack, processor, threads.

    Use it in the record of a run. With all of these the same, the same seed gives the same bits.

    Returns:
        Plain values, ready for JSON: `library`, `python`, `packages` (name to version), `stack`, `system`, `cpu`,
        `cpu_features`, `cores` (that this process may use), `intra_op_threads`, `inter_op_threads`, `gpus`,
        `environment` (the variables that are set of those that matter).

    Example:

    >>> record = machine_record()
    >>> record["intra_op_threads"] >= 1, "numpy" in record["packages"]
    (True, True)
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    name, features = processor()
    return {
        "library": __version__,
        "python": platform.python_version(),
        "packages": {package: version for package in _PACKAGES if (version := _version(package)) is not None},
        "stack": f"TensorFlow {tf.__version__}, {'Keras 3' if KERAS_3 else 'Keras 2'}",
        "system": platform.platform(),
        "cpu": name,
        "cpu_features": features,
        "cores": cores,
        "intra_op_threads": _threads(
            tf.config.threading.get_intra_op_parallelism_threads(), "TF_NUM_INTRAOP_THREADS", cores
        ),
        "inter_op_threads": _threads(
            tf.config.threading.get_inter_op_parallelism_threads(), "TF_NUM_INTEROP_THREADS", cores
        ),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _threads(set_here: int, variable: str, cores: int) -> int:
    """The threads of TensorFlow: as set in Python, as the environment says, or one for each core."""
    given = os.environ.get(variable, "")
    return set_here or (int(given) if given.isascii() and given.isdigit() else 0) or cores


def processor() -> tuple[str, list[str]]:
    """The processor's name, and its instructions that decide how products are summed."""
    information = Path("/proc/cpuinfo")
    entries: dict[str, str] = {}
    if sys.platform == "linux" and information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            entries.setdefault(key.strip(), value.strip())
    flags = set(entries.get("flags", entries.get("Features", "")).split())
    known = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve")
    return entries.get("model name") or platform.processor() or platform.machine(), [f for f in known if f in flags]
