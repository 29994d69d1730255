"""Trains a model with a table and one with a larger one, exports each in a process of its own, and notes the peaks.

`exporter_of_two_runs.py` does all; with the name of a run it is the process that exports it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from two_tables import note_peaks, settings_of, trainings

BUCKETS = {"small": 200_000, "large": 4_200_000}


def export(name: str) -> None:
    from dynctr_tf.jobs.exporting import export_for_parent
    from dynctr_tf.training.memory import peak_memory_mib

    shutil.rmtree("models", ignore_errors=True)  # the job itself exports a model that is good enough
    place = Path(f"{name}-exported")
    place.mkdir()
    (place / "card.json").write_text("{}", encoding="utf-8")
    export_for_parent(name, str(place))
    (place / "peak.json").write_text(json.dumps(peak_memory_mib()), encoding="utf-8")


def main() -> None:
    from pipelines.train import run

    peaks = {}
    for name, own in trainings(settings_of("row_wise_adagrad", {"batch_size": 3000}, {}), BUCKETS):
        run(own, Path(name))
        subprocess.run([sys.executable, __file__, name], check=True)
        peaks[name] = json.loads(Path(f"{name}-exported", "peak.json").read_text(encoding="utf-8"))
    note_peaks(peaks, BUCKETS)


if __name__ == "__main__":
    export(sys.argv[1]) if len(sys.argv) > 1 else main()
