"""Measures each contender in a process of its own, and writes figures as tables and files."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynctr_tf.durable_files import make_folder, write_text
from dynctr_tf.evaluation.text_table import align

ROOT = Path(__file__).parents[2]
# Peers run with their defaults, without the settings of TensorFlow that `pipelines` makes for its own jobs.
PEER_ENVIRONMENT = {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPU_ALLOCATOR_USE_BFC": "false"}
# Memory is measured with the C library's allocator: TensorFlow's keeps freed memory, and hides what a step adds.
MEMORY_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_CPU_ALLOCATOR_USE_BFC": "false"}


def run_contender(command: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """Runs one contender in its own process and reads the line that it prints.

    Raises:
        RuntimeError: The process failed; the end of what it said is in the message.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def run_step_case(command: Sequence[str]) -> dict[str, Any]:
    """Runs a command that prints the costs of a step: once for the times, and once for the memory if it measures it.

    Raises:
        RuntimeError: As `run_contender`.
    """
    figures = run_contender(command, {"TF_CPP_MIN_LOG_LEVEL": "3"})
    if "added_peak_mib" in figures:
        figures["added_peak_mib"] = run_contender(command, MEMORY_ENVIRONMENT)["added_peak_mib"]
    return figures


def medians(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of every figure over the runs of one contender; equal values stay as they are."""
    columns = {key: [run[key] for run in runs] for key in runs[0]}
    return {key: values[0] if len(set(values)) == 1 else statistics.median(values) for key, values in columns.items()}


def table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> str:
    """An aligned plain table."""

    def cell(value: Any) -> str:
        return str(value) if not isinstance(value, float) else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"

    return "\n".join(align([list(head), *([cell(value) for value in row] for row in rows)]))


def write_json(path: Path, result: Any) -> None:
    """Writes the figures as JSON."""
    write_text(make_folder(path.parent) / path.name, json.dumps(result, indent=2) + "\n")


def write_result(path: Path, result: Any) -> None:
    """Writes the figures as JSON and prints where."""
    write_json(path, result)
    print(f"figures: {path}")
