"""A run is that of its rows, settings and code: what differs is another run, and the difference is said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from dynctr_tf.code_digest import code_digest
from dynctr_tf.training.run_record import RunRecord, check_goes_on, own_folder

SCHEMA = {
    "label": "is_click",
    "features": [{"name": "user", "kind": "categorical"}, {"name": "price", "kind": "numeric"}],
}
FILE = {"path": "/rows/clicks.csv", "size": 10, "modified": 1.0, "digest": "aa"}


def record(**changes: Any) -> RunRecord:
    rows = {
        "fingerprint": "r1",
        "splits": {"train": 700, "test": 300},
        "schema": SCHEMA,
        "files": [FILE],
        "settings": {"seed": 0, "path": "clicks.csv"},
    }
    rows.update(changes.pop("rows", {}))
    settings = {"model": {"name": "dnn", "embedding": {"dim": 16}}, "training": {"epochs": 3}}
    settings.update(changes.pop("settings", {}))
    return RunRecord(settings, rows, {"version": "1.0", "digest": "c", "keras": "Keras 3", **changes.pop("code", {})})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": {"training": {"epochs": 4}}}, "training.epochs 3 -> 4"),
        (
            {"settings": {"model": {"name": "dnn", "embedding": {"dim": 8}}}},
            "model.embedding.dim 16 -> 8",
        ),
        ({"settings": {"optimizer": {"options": {"learning_rate": 0.5}}}}, "learning_rate default -> 0.5"),
        (
            {
                "rows": {
                    "fingerprint": "r2",
                    "splits": {"train": 4068, "test": 1744},
                    "files": [{**FILE, "digest": "bb"}],
                }
            },
            "clicks.csv has changed: 4,812 rows more",
        ),
        ({"rows": {"fingerprint": "r2", "files": [{**FILE, "digest": "bb"}]}}, "as many rows, 1,000, of other content"),
        (
            {"rows": {"fingerprint": "r2", "files": [{**FILE, "path": "/rows/day2.csv", "digest": "bb"}]}},
            "/rows/clicks.csv -> /rows/day2.csv",
        ),
        (
            {"rows": {"fingerprint": "r2", "schema": {**SCHEMA, "label": "is_follow"}}},
            "schema: label 'is_click' -> 'is_follow'",
        ),
        (
            {"rows": {"fingerprint": "r2", "schema": {**SCHEMA, "features": SCHEMA["features"][:1]}}},
            "schema: without 'price'",
        ),
        (
            {
                "rows": {
                    "fingerprint": "r2",
                    "schema": {**SCHEMA, "features": [SCHEMA["features"][0], {"name": "price", "kind": "categorical"}]},
                }
            },
            "schema: price: kind 'numeric' -> 'categorical'",
        ),
        (
            {"rows": {"fingerprint": "r2", "schema": {**SCHEMA, "features": SCHEMA["features"][::-1]}}},
            "another order of the features",
        ),
        ({"rows": {"fingerprint": "r2", "settings": {"seed": 1}}}, "data.seed 0 -> 1"),
        ({"rows": {"fingerprint": "r2"}}, "the rows are others"),
        ({"code": {"digest": "d"}}, "the code of dynctr_tf has changed"),
        ({"code": {"digest": "d", "version": "2.0"}}, "dynctr_tf 1.0 -> 2.0"),
        ({"code": {"keras": "Keras 2"}}, "Keras 3 -> Keras 2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_differs_is_another_run_and_is_said(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    first = record()
    first.save(tmp_path / "run")
    other = record(**changes)
    assert other.fingerprint != first.fingerprint
    folder, differences = own_folder(tmp_path / "run", other)
    assert folder == tmp_path / f"run-{other.fingerprint}"
    assert len(differences) == 1 and said in differences[0], differences


def test_the_same_run_has_its_folder(tmp_path: Path) -> None:
    first = record()
    assert own_folder(tmp_path / "run", first) == (tmp_path / "run", [])
    first.save(tmp_path / "run")
    assert RunRecord.load(tmp_path / "run") == first
    moved = record(rows={"files": [{**FILE, "path": "/elsewhere/clicks.csv", "modified": 2.0}]})
    assert own_folder(tmp_path / "run", moved) == (tmp_path / "run", [])


def test_a_folder_without_a_record_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert own_folder(tmp_path / "run", record())[0] == tmp_path / "run"
    (tmp_path / "run" / "log.csv").write_text("step\n", encoding="utf-8")
    assert own_folder(tmp_path / "run", record())[1] == ["it has no record of its run"]
    # Nor does one count whose record was edited.
    record().save(tmp_path / "run")
    text = (tmp_path / "run" / "run.json").read_text(encoding="utf-8")
    for damaged in (text[:-9], "5", "{}", text.replace('"epochs": 3', '"epochs": 4')):
        (tmp_path / "run" / "run.json").write_text(damaged, encoding="utf-8")
        assert RunRecord.load(tmp_path / "run") is None


def test_a_checkpoint_of_other_rows_is_refused(tmp_path: Path) -> None:
    check_goes_on(tmp_path, resumes=False, note=True, rows="a", batch_size=64)
    check_goes_on(tmp_path, resumes=True, note=True, rows="a", batch_size=64)
    with pytest.raises(ValueError, match="rows 'a' -> 'b', batch size 64 -> 32"):
        check_goes_on(tmp_path, resumes=True, note=True, rows="b", batch_size=32)
    assert json.loads((tmp_path / "trained_on.json").read_text(encoding="utf-8"))["rows"] == "a"
    (tmp_path / "trained_on.json").unlink()
    with pytest.raises(ValueError, match="no trained_on.json"):
        check_goes_on(tmp_path, resumes=True, note=True, rows="a", batch_size=64)


def test_the_digest_is_that_of_the_code() -> None:
    assert code_digest("layers") != code_digest("models") != code_digest("layers", "models")
    assert code_digest("models", "layers") == code_digest("layers", "models")
    with pytest.raises(ValueError, match="no part 'nowhere'"):
        code_digest("nowhere")
    assert dataclasses.replace(record(), code={**record().code, "digest": "x"}).fingerprint != record().fingerprint
