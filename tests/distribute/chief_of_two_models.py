"""A process of a cluster that trains with a table and then with a larger one, and notes the chief's peaks."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

BUCKETS = {"small": 2_000_000, "large": 6_000_000}


def main() -> None:
    from dynctr_tf.jobs.settings import job_settings
    from dynctr_tf.jobs.stages import as_part_of_cluster
    from dynctr_tf.schema import Feature, Schema, Vocabulary

    settings = job_settings(
        {
            "data": {"name": "tabular_file", "path": "rows.csv", "directory": "data"},
            "model": {"name": "deepfm", "embedding": {"dim": 16}, "deep": {"units": [8]}},
            "optimizer": {"name": "lazy_adam"},
            "training": {"strategy": "parameter_server", "batch_size": 100, "epochs": 1, "tensorboard": False},
            "evaluation": {"replicates": 40},
            "export": {"directory": "models", "even_if_worse_than_base_rate": True},
        }
    )

    def chief() -> None:
        from dynctr_tf.training.memory import peak_memory_mib
        from pipelines.train import run

        draw = random.Random(0).randrange
        rows = [f"u{draw(900)},i{draw(20)},{int(draw(10) < 4)}" for _ in range(3000)]
        Path("rows.csv").write_text("\n".join(["user,item,click", *rows, ""]), encoding="utf-8")
        found = {"more": (BUCKETS["large"] - BUCKETS["small"]) * 17 * 4 / 2**20}
        for name, buckets in BUCKETS.items():
            user = Feature("user", "categorical", role="user", vocabulary=Vocabulary(hash_buckets=buckets))
            schema = Schema((user, Feature("item", "categorical", role="item")), label="click")
            Path(f"{name}.json").write_text(schema.to_json(), encoding="utf-8")
            export = dataclasses.replace(settings.export, name=name)
            data = dataclasses.replace(settings.data, schema=f"{name}.json")
            run(dataclasses.replace(settings, data=data, export=export), Path(name))
            found[name] = peak_memory_mib()
        Path("peaks.json").write_text(json.dumps(found), encoding="utf-8")

    as_part_of_cluster(settings, chief, grace_seconds=20.0)


if __name__ == "__main__":
    main()
