"""Versions at URIs: trained, copied there whole or not at all, found, scored, published and served again."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refused_jobs import refused
from scored_clicks import folder_of_clicks, train_and_export, write_clicks
from shaky_store import Shaky, contents_at

from dynctr_tf.durable_files import DamagedFileError, check_checksums, read_json
from dynctr_tf.export import ServedModel, check_export_directory, version_folder
from dynctr_tf.export.versions_at_uris import copy_to_uri, newest_number, versions_here
from pipelines import evaluate, predict, publish, train, update

MODELS = "shaky://bucket/models"
CLICKS = f"{MODELS}/clicks"
CARD = "assets.extra/about.json"


def files_at(uri: str) -> list[str]:
    return list(contents_at(uri))


pytestmark = pytest.mark.usefixtures("shaky_store")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with folder_of_clicks(tmp_path_factory) as place:
        train_and_export("dnn", "--export.name", "clicks")
        train_and_export("lr", "--export.name", "clicks", "--export.directory", "candidates")
    return place


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


@pytest.fixture
def version(here: Path) -> Path:
    return version_folder(here / "saved_models" / "clicks")


def scores(export: str, output: str) -> Any:
    predict.main(["clicks.csv", "--export", export, "--keys", "id", "--output", output])
    return pq.read_table(output)


def test_a_model_is_trained_to_a_uri_and_scores_from_there(
    version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_uri = ["--export.name", "clicks", "--export.directory", MODELS]
    train_and_export("dnn", *to_uri)
    text = capsys.readouterr().out
    assert f"SavedModel: {CLICKS}/1\n" in text and f"--model_base_path={CLICKS}\n" in text
    assert "--model_name=clicks " in text
    train_and_export("dnn", *to_uri)
    assert f"SavedModel: {CLICKS}/1 (exported before, unchanged)" in capsys.readouterr().out
    assert newest_number(CLICKS) == 1
    own = [name for name in Shaky.written if "/clicks/1/" in name]
    assert own[-1] == "/bucket/models/clicks/1/saved_model.pb" and len(own) == len(set(own))
    with versions_here(CLICKS) as (folder,):
        check_checksums(folder)
        assert (folder.parent.name, folder.name) == ("clicks", "1")
    there = scores(CLICKS, f"{tmp_path}/there.parquet")
    assert there.equals(scores(str(version), f"{tmp_path}/here.parquet"))


def test_versions_at_a_uri_are_judged(version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clicks = f"file://{tmp_path}/models/clicks"
    check_export_directory(clicks)
    assert copy_to_uri(clicks, version, advice="") == f"{clicks}/1"
    assert copy_to_uri(clicks, version_folder("candidates/clicks"), advice="") == f"{clicks}/2"
    assert [path.name for path in (tmp_path / "models" / "clicks").iterdir() if path.is_file()] == []
    words = ["clicks.csv", "--replicates", "40", "--output", f"{tmp_path}/report", "--export"]
    evaluate.main([*words, f"{clicks}/1/", clicks])
    assert "clicks/2" in capsys.readouterr().out
    assert "Exports named more than once" in refused(evaluate, [*words, clicks, f"{clicks}/2"], capsys)


def test_a_copy_that_fails_leaves_nothing_and_the_next_start_copies(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--export.name", "other", "--export.directory", MODELS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shaky, "refused", "saved_model.pb")
        with pytest.raises(SystemExit) as ended:
            train_and_export("dnn", *words)
    assert ended.value.code not in (0, None)
    text = " ".join(capsys.readouterr().err.split())
    kept = Path("run-dnn/export_to_uri/other/1")
    assert f"{MODELS}/other/1: the version could not be written there: 403: may not write here. It is kept in" in text
    assert str(kept) in text and "Traceback" not in text
    check_checksums(kept)
    assert not files_at(MODELS) and newest_number(f"{MODELS}/other") == 0
    before = kept.stat().st_mtime_ns
    train_and_export("dnn", *words)
    assert f"SavedModel: {MODELS}/other/1\n" in capsys.readouterr().out
    assert kept.stat().st_mtime_ns == before and newest_number(f"{MODELS}/other") == 1


def test_what_an_interrupted_copy_left_is_no_version_and_stays(
    version: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_to_uri(CLICKS, version, advice="")
    Shaky.refused, Shaky.keeps = "saved_model.pb", True  # as a process that is killed leaves it
    other = version_folder("candidates/clicks")
    with pytest.raises(OSError, match=rf"{CLICKS}/2: the version could not be written there: 403.*Once more\."):
        copy_to_uri(CLICKS, other, advice="Once more.")
    left = files_at(f"{CLICKS}/2")
    assert left and "saved_model.pb" not in left and newest_number(CLICKS) == 1
    Shaky.refused = ""
    whole = dict(Shaky.store)
    check_export_directory(CLICKS)  # which may write there and not delete
    assert f"{CLICKS}: 2 has no saved_model.pb" in capsys.readouterr().out
    assert copy_to_uri(CLICKS, version, advice="") == f"{CLICKS}/1"  # the newest is the same
    assert copy_to_uri(CLICKS, other, advice="") == f"{CLICKS}/3" and newest_number(CLICKS) == 3
    assert all(Shaky.store[name] is file for name, file in whole.items())
    with versions_here(CLICKS) as (folder,):
        check_checksums(folder)
        assert read_json(folder / CARD)["version"] == 3
        assert (folder / "saved_model.pb").read_bytes() == (other / "saved_model.pb").read_bytes()
    check_checksums(other)


def test_a_version_is_published_at_a_uri_and_served_again(
    here: Path, version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = f"{MODELS}/served"
    publish.main([str(version), "--to", served])
    text = capsys.readouterr().out
    assert f"{served} has no version yet" in text and f"published: {served}/1" in text
    copy_to_uri(CLICKS, version_folder("candidates/clicks"), advice="")
    publish.main([CLICKS, "--to", served, "--rows", "clicks.csv", "--margin", "9"])
    text = capsys.readouterr().out
    assert "passed: " in text and f"published: {served}/2" in text
    with versions_here(served) as (folder,):
        card = read_json(folder / CARD)
        assert (card["name"], card["version"], card["published_from"]) == ("served", 2, f"{CLICKS}/1")
        assert card["sample_request"]["curl"].endswith("/served:predict")
    message = refused(publish, [CLICKS, "--to", served.replace("served", "clicks")], capsys)
    assert f"{CLICKS}/1 is in the served folder already" in message
    publish.main(["--to", served, "--rollback", "1"])
    assert f"served again: version 1, as {served}/3" in capsys.readouterr().out
    with versions_here(served) as (folder,):
        assert read_json(folder / CARD)["rollback_of"] == 1
    # A version at a URI is also served from a folder.
    publish.main([f"{served}/2", "--to", f"{tmp_path}/served"])
    assert read_json(tmp_path / "served" / "1" / CARD)["published_from"] == f"{served}/2"
    assert "There is no export at" in refused(publish, ["--to", served, "--rollback", "9"], capsys)


def test_a_day_goes_to_a_uri(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clicks(Path("monday.csv"), 7)
    update.main(["run-dnn", "--data.path", "monday.csv", "--export.directory", MODELS, "--export.name", "days"])
    assert f"SavedModel: {MODELS}/days/1\n" in capsys.readouterr().out
    message = refused(update, ["run-dnn", "--rollback", "1", "--export.directory", MODELS], capsys)
    assert "dynctr publish --to" in message
    # An export at a URI stands for the run that made it, too.
    write_clicks(Path("tuesday.csv"), 8)
    update.main([f"{MODELS}/days/1", "--data.path", "tuesday.csv", "--export.directory", "none"])
    text = capsys.readouterr().out
    assert f"{MODELS}/days/1 was made by the run in run-dnn\n" in text and "day 2, tuesday.csv: 1,000 rows" in text


def test_code_loads_a_version_from_there(version: Path) -> None:
    copy_to_uri(CLICKS, version, advice="")
    rows = pa.RecordBatch.from_pylist([{"country": "a", "device": "x", "age": 20.0, "tags": ["t1"]}])
    there, here = ServedModel(CLICKS), ServedModel(version)
    assert there.name == "clicks/1" and there.fingerprint == ServedModel(f"{CLICKS}/1").fingerprint
    assert there.logits(rows) == here.logits(rows)
    copied = there.path
    assert copied.is_dir()
    del there
    gc.collect()
    assert not copied.exists() and version.is_dir()
    with pytest.raises(ValueError, match=rf"There is no export at {CLICKS}/7"):
        ServedModel(f"{CLICKS}/7")


def test_what_is_wrong_there_is_named(version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["clicks.csv", "--output", f"{tmp_path}/scores", "--export"]
    assert f"There is no export at {CLICKS}: it has no saved_model.pb" in refused(predict, [*words, CLICKS], capsys)
    assert "no file system for nosuch:// is installed" in refused(predict, [*words, "nosuch://bucket/x"], capsys)
    copy_to_uri(CLICKS, version, advice="")
    with pytest.raises(ValueError, match=rf"There is no export at {CLICKS}/7"), versions_here(f"{CLICKS}/7"):
        pass
    Shaky.refused = "about.json"
    with pytest.raises(OSError, match=rf"{MODELS}/more/1: the version could not be written"):
        copy_to_uri(f"{MODELS}/more", version, advice="")
    Shaky.refused = ""
    content = Shaky.store["/bucket/models/clicks/1/" + CARD]
    content.seek(0)
    changed = bytes(content.getvalue()).replace(b"clicks", b"clocks", 1)
    fsspec.filesystem("shaky").pipe_file("/bucket/models/clicks/1/" + CARD, changed)
    with pytest.raises(DamagedFileError, match=rf"{re.escape(CLICKS)}/1/{CARD} is damaged"), versions_here(CLICKS):
        pass
    (tmp_path / "file").write_text("")
    for place in (f"file://{tmp_path}/file", "nosuch://bucket/models"):
        words = ["--export.directory", place, "--export.name", "clicks", "--data.name", "synthetic_ctr"]
        message = refused(train, [*words, "--run-directory", f"{tmp_path}/run"], capsys)
        assert place in message or "nosuch" in message
    assert not (tmp_path / "run").exists()
