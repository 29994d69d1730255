"""The jobs that a person starts: `python -m pipelines.train`, `tune`, `compare`, `benchmark`, `schema`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _prefer_faster_products() -> None:
    """Turns oneDNN off where the CPU has no AVX-512, unless the environment says otherwise; before TensorFlow's import.

    There TensorFlow's own matrix products are faster (100 ms against 120 for those of a step of the benchmark's
    DNN on two cores with AVX2; a request of one row takes 0.6 ms against 2.5), and sum in one order.
    """
    flags = Path("/proc/cpuinfo")
    if flags.exists() and "avx512f" not in flags.read_text(encoding="utf-8"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def _keep_memory() -> None:
    """Lets TensorFlow keep the memory of tensors for the next step, unless the environment says otherwise.

    The C library gives a tensor of 32 MiB or more back to the system, which clears it page by page when it is next
    asked for: a training step of xDeepFM takes 1.9 times as long, one of PNN 1.1 times (two cores, batch 4096).
    TensorFlow's own allocator keeps it. Its limit of 64 GiB is raised to what the machine has.
    """
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    if hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys():
        mebibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(max(2**16, mebibytes)))


def allow_xla_on_cpu() -> None:
    """Lets `tf.config.optimizer.set_jit` reach the CPU; call it before TensorFlow's import.

    A whole step cannot be compiled (`jit_compile=True`): how many distinct ids a batch has is known only when it
    is there. `set_jit("autoclustering")` compiles what it can of the rest.
    """
    os.environ["TF_XLA_FLAGS"] = f"{os.environ.get('TF_XLA_FLAGS', '')} --tf_xla_cpu_global_jit".strip()


_prefer_faster_products()
_keep_memory()

PAIRS = Path(__file__).parent / "configs"
"""Settings files of data sets and models, `<data set>/<model>.toml`."""


@contextmanager
def errors_as_messages(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Ends the program with a message in place of a traceback.

    The exit status is 2 for what the user gave (a setting, a row), as for the options themselves, and 1 for what
    went wrong on the way: a loss that is not finite, an export that differs, a file that cannot be written.
    """
    try:
        yield
    except ValueError as error:
        parser.error(str(error))
    except (RuntimeError, FloatingPointError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {type(error).__name__}: {error}\n")
