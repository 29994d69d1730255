"""What is said of a process's memory is that of this process, and of this call."""

import subprocess
import sys

import numpy as np
import pytest

from dynctr_tf.training import memory
from pipelines.benchmarks.step_costs import added_peak_mib

MIB = 2**20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells and forgets what a peak was")


@on_linux
def test_the_peak_is_not_that_of_the_process_that_started_this_one() -> None:
    held = np.ones(400 * MIB, np.uint8)
    program = "import runpy, sys; print(runpy.run_path(sys.argv[1])['peak_memory_mib']())"
    done = subprocess.run([sys.executable, "-c", program, memory.__file__], capture_output=True, text=True, check=True)
    assert 1 < float(done.stdout) < 200 < memory.peak_memory_mib()
    del held


@on_linux
def test_a_call_adds_what_it_takes_after_a_higher_peak() -> None:
    del (held := [np.ones(400 * MIB, np.uint8)])[:]
    assert 190 < added_peak_mib(lambda: held.append(np.ones(200 * MIB, np.uint8))) < 230
    assert memory.resident_memory_mib() > 200


@on_linux
def test_memory_that_nothing_refers_to_is_given_back() -> None:
    pieces = [np.ones(MIB // 64, np.uint8) for _ in range(64 * 100)]  # too small to be given back one by one
    before = memory.resident_memory_mib()
    pieces.append(pieces)  # a cycle, which counting references does not end
    del pieces
    memory.give_back_memory()
    assert memory.resident_memory_mib() < before - 80
