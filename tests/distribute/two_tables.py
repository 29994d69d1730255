"""Two trainings of one model in the current folder, with a table and with a larger one, whose peaks are compared."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

WIDTH = 17  # of the embeddings, and a first-order weight


def settings_of(optimizer: str, training: Mapping[str, Any], export: Mapping[str, Any]) -> Any:
    """What both trainings have in common."""
    from dynctr_tf.jobs.settings import job_settings

    return job_settings(
        {
            "data": {"name": "tabular_file", "path": "rows.csv", "directory": "data"},
            "model": {"name": "deepfm", "embedding": {"dim": WIDTH - 1}, "deep": {"units": [8]}},
            "optimizer": {"name": optimizer},
            "training": {"epochs": 1, "tensorboard": False, **training},
            "evaluation": {"replicates": 40},
            "export": {"directory": "models", **export},
        }
    )


def trainings(settings: Any, buckets: Mapping[str, int]) -> Iterator[tuple[str, Any]]:
    """Writes the rows, and gives the name and the settings of each training; a table has a row for each bucket."""
    from dynctr_tf.schema import Feature, Schema, Vocabulary

    draw = random.Random(0).randrange
    rows = [f"u{draw(900)},i{draw(20)},{int(draw(10) < 4)}" for _ in range(3000)]
    Path("rows.csv").write_text("\n".join(["user,item,click", *rows, ""]), encoding="utf-8")
    for name, count in buckets.items():
        user = Feature("user", "categorical", role="user", vocabulary=Vocabulary(hash_buckets=count))
        schema = Schema((user, Feature("item", "categorical", role="item")), label="click")
        Path(f"{name}.json").write_text(schema.to_json(), encoding="utf-8")
        data = dataclasses.replace(settings.data, schema=f"{name}.json")
        yield name, dataclasses.replace(settings, data=data, export=dataclasses.replace(settings.export, name=name))


def note_peaks(peaks: Mapping[str, float], buckets: Mapping[str, int]) -> None:
    """Writes the peaks of memory in MiB, and by how much one table is larger than the other."""
    small, large = buckets.values()
    more = (large - small) * WIDTH * 4 / 2**20
    Path("peaks.json").write_text(json.dumps({**peaks, "more": more}), encoding="utf-8")
