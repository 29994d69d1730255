"""Trains a model with a table and one with a larger one, exports each in a process of its own, and notes the peaks.

`exporter_of_two_runs.py` does all; with the name of a run it is the process that exports it.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

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
    from dynctr_tf.jobs.settings import job_settings
    from dynctr_tf.schema import Feature, Schema, Vocabulary
    from pipelines.train import run

    settings = job_settings(
        {
            "data": {"name": "tabular_file", "path": "rows.csv", "directory": "data"},
            "model": {"name": "deepfm", "embedding": {"dim": 16}, "deep": {"units": [8]}},
            "optimizer": {"name": "row_wise_adagrad"},
            "training": {"batch_size": 3000, "epochs": 1, "tensorboard": False},
            "evaluation": {"replicates": 40},
            "export": {"directory": "models"},
        }
    )
    draw = random.Random(0).randrange
    rows = [f"u{draw(900)},i{draw(20)},{int(draw(10) < 4)}" for _ in range(3000)]
    Path("rows.csv").write_text("\n".join(["user,item,click", *rows, ""]), encoding="utf-8")
    found = {"more": (BUCKETS["large"] - BUCKETS["small"]) * 17 * 4 / 2**20}
    for name, buckets in BUCKETS.items():
        user = Feature("user", "categorical", role="user", vocabulary=Vocabulary(hash_buckets=buckets))
        schema = Schema((user, Feature("item", "categorical", role="item")), label="click")
        Path(f"{name}.json").write_text(schema.to_json(), encoding="utf-8")
        data = dataclasses.replace(settings.data, schema=f"{name}.json")
        run(
            dataclasses.replace(settings, data=data, export=dataclasses.replace(settings.export, name=name)), Path(name)
        )
        subprocess.run([sys.executable, __file__, name], check=True)
        found[name] = json.loads(Path(f"{name}-exported", "peak.json").read_text(encoding="utf-8"))
    Path("peaks.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    export(sys.argv[1]) if len(sys.argv) > 1 else main()
