"""What FuxiCTR gets to train beside our models, and where it is installed, that it does."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynctr_tf.durable_files import check_checksums, write_array, write_json
from dynctr_tf.jobs.preparing import prepare
from dynctr_tf.jobs.settings import (
    DataSettings,
    JobSettings,
    ModelSettings,
    OptimizerSettings,
    SearchSettings,
    TrainingSettings,
)
from dynctr_tf.schema import Feature, Schema
from pipelines import compare
from pipelines.peers.fuxictr_comparison import digest_of, peer_finished, peer_job, peer_result, write_rows

DNN = JobSettings(
    model=ModelSettings("dnn", {"embedding.dim": 4, "deep.units": (8, 6)}),
    training=TrainingSettings(batch_size=4096, patience=4),
)


def test_rows_are_ours_and_each_field_counts_from_0(small_data: Any, tmp_path: Path) -> None:
    write_rows(small_data, tmp_path)
    check_checksums(tmp_path)
    for split, rows in (("train", 3000), ("validation", 500), ("test", 500)):
        ids = np.load(tmp_path / f"{split}_ids.npy")
        assert ids.shape == (rows, small_data.features.num_fields)
        for column, field in zip(ids.T, small_data.features.single_valued, strict=True):
            assert column.min() >= 0 and column.max() < field.num_ids
            np.testing.assert_array_equal(column + field.first_id, small_data.column(split, field.name))
        np.testing.assert_array_equal(np.load(tmp_path / f"{split}_labels.npy"), small_data.column(split, "label"))


@pytest.mark.parametrize(
    ("optimizer", "space", "rate", "bounds"),
    [
        (OptimizerSettings("lazy_adam"), {}, 1e-3, (1e-4, 1e-3)),
        (OptimizerSettings("adam"), {"low": 0.002, "high": 0.02}, 1e-3, (0.002, 0.02)),
        (OptimizerSettings("adam"), {"low": 0.4, "high": 0.5, "scale": "linear"}, 1e-3, (0.4, 0.5)),
        # A rate that is given is not searched, unless a space for it is given too.
        (OptimizerSettings("lazy_adam", {"learning_rate": 0.005}), {}, 0.005, (0.005, 0.005)),
        (OptimizerSettings("lazy_adam", {"learning_rate": 0.005}), {"low": 0.1, "high": 0.2}, 0.005, (0.1, 0.2)),
        (OptimizerSettings("lazy_adam", {"learning_rate": 0.005}), 0.03, 0.03, (0.03, 0.03)),
        # FuxiCTR trains with Adam, so that a rate of another optimizer says nothing.
        (OptimizerSettings("group_ftrl", {"learning_rate": 0.3}), {"low": 0.5, "high": 0.9}, 1e-3, (1e-4, 1e-3)),
    ],
)
def test_job_has_our_batches_and_rates_from_where_ours_are_drawn(
    small_data: Any,
    tmp_path: Path,
    optimizer: OptimizerSettings,
    space: Any,
    rate: float,
    bounds: tuple[float, float],
) -> None:
    own = {"optimizer": {"learning_rate": space}} if space else {}
    settings = dataclasses.replace(DNN, optimizer=optimizer, search=SearchSettings(space=own))
    job = peer_job(settings, small_data, tmp_path, seeds=2, trials=3)
    assert job["learning_rate"] == rate
    assert job["learning_rates"] == pytest.approx(np.clip(job["learning_rates"], *bounds), rel=1e-12)
    assert len(set(job["learning_rates"])) == (1 if bounds[0] == bounds[1] else 3)
    assert (job["embedding_dim"], job["hidden_units"], job["seeds"], job["trials"]) == (4, [8, 6], 2, 3)
    assert (job["batch_size"], job["epochs"], job["patience"]) == (4096, 20, 4)
    assert sum(job["sizes"]) == small_data.features.num_ids - 1, "all ids but padding"


def test_rates_are_drawn_from_a_list_and_none_where_ours_are_not(small_data: Any, tmp_path: Path) -> None:
    adam = dataclasses.replace(DNN, optimizer=OptimizerSettings("adam"))
    listed = SearchSettings(space={"optimizer": {"learning_rate": [0.1, 0.2, 0.3]}})
    job = peer_job(dataclasses.replace(adam, search=listed), small_data, tmp_path, seeds=1, trials=7)
    # None twice before each was drawn, as none of our trials is like another.
    for first in (0, 3):
        assert sorted(job["learning_rates"][first : first + 3]) == [0.1, 0.2, 0.3]
    assert len(job["learning_rates"]) == 7
    none = SearchSettings(catalogue_space=False)
    job = peer_job(dataclasses.replace(adam, search=none), small_data, tmp_path, seeds=1, trials=2)
    assert job["learning_rates"] == [job["learning_rate"]] * 2


def test_rows_that_it_does_not_take_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{row % 2},{row % 7},{row % 3}|{row % 5}\n" for row in range(90))
    (tmp_path / "clicks.csv").write_text("click,item,history\n" + rows, encoding="utf-8")
    features = (Feature("item", "categorical"), Feature("history", "sequence", max_length=3))
    Schema(features, label="click").save(tmp_path / "clicks.json")
    file, schema = str(tmp_path / "clicks.csv"), str(tmp_path / "clicks.json")
    histories = prepare(DataSettings("tabular_file", path=file, schema=schema, directory=str(tmp_path / "data")))
    with pytest.raises(ValueError, match="history.*without --fuxictr-python"):
        write_rows(histories, tmp_path / "rows")
    assert not (tmp_path / "rows").exists()


def test_its_best_step_is_picked_by_the_metric_that_picks_ours(small_data: Any, tmp_path: Path) -> None:
    assert peer_job(DNN, small_data, tmp_path, seeds=1, trials=0)["monitor"] == "logloss"
    settings = dataclasses.replace(DNN, training=TrainingSettings(monitor="auc"))
    assert peer_job(settings, small_data, tmp_path, seeds=1, trials=0)["monitor"] == "auc"


def test_results_are_known_by_their_job(small_data: Any, tmp_path: Path) -> None:
    job = peer_job(DNN, small_data, tmp_path, seeds=1, trials=0)
    assert job["rows_fingerprint"] == small_data.fingerprint
    assert digest_of(job) != digest_of({**job, "rows_fingerprint": "of other rows"})
    assert peer_result(tmp_path) is None
    write_json(tmp_path / "result.json", {"job": job})
    whole = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert peer_result(tmp_path) == job and not peer_finished(tmp_path, job), "without its logits"
    logits = tmp_path / "seed0.npy"
    write_array(logits, np.zeros(3))
    assert peer_finished(tmp_path, job) and not peer_finished(tmp_path, {**job, "seeds": 2})
    logits.write_bytes(logits.read_bytes()[:-1])
    assert not peer_finished(tmp_path, job)
    for text, held in (
        (whole[:-9], {}),
        ("{", {}),
        ("[]", {}),
        ("{}", {}),
        (whole.replace('"seeds": 1', '"seeds": 3'), {}),
    ):
        (tmp_path / "result.json").write_text(text, encoding="utf-8")
        assert peer_result(tmp_path) == held


def test_names_with_a_point_have_files_of_their_own() -> None:
    peer = compare.FuxiCTR("python", "zoo")
    jobs = [peer.job(name, Path("job.json"), Path("out", name)) for name in ("dnn-0.5", "dnn-0.7")]
    assert [job.log for job in jobs] == [Path("out/dnn-0.5.log"), Path("out/dnn-0.7.log")]


def test_zoo_and_interpreter_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compare.main(["--models", "dnn", "--output", "nowhere", "--fuxictr-python", "python"])
    assert "--fuxictr-zoo go together" in capsys.readouterr().err


@pytest.mark.skipif("FUXICTR_PYTHON" not in os.environ, reason="FUXICTR_PYTHON names no interpreter that has FuxiCTR")
def test_trained_there_beside_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data.options.num_train", "4000", "--data.options.num_validation", "1000"]
    words += ["--data.options.num_test", "1000", "--training.batch_size", "64", "--training.epochs", "4"]
    words += ["--model.embedding.dim", "4", "--model.deep.units", "[16]", "--trials", "1"]
    words += ["--training.tensorboard", "false", "--evaluation.replicates", "100", "--seeds", "2"]
    words += ["--models", "lr", "hofm", "dnn", "afm", "--output", "compared", "--optimizer.name", "lazy_adam"]
    words += ["--fuxictr-python", os.environ["FUXICTR_PYTHON"], "--fuxictr-zoo", os.environ["FUXICTR_ZOO"]]
    compare.main(words)
    text = capsys.readouterr().out
    assert "fuxictr-lr" in text and "fuxictr-dnn" in text and "fuxictr-hofm" not in text
    assert "each model minus FuxiCTR's of the same name; p adjusted by Holm's rule for 3 tests a metric" in text
    comparison = json.loads((tmp_path / "compared" / "comparison.json").read_text(encoding="utf-8"))
    assert "fuxictr-dnn" in json.dumps(comparison)
    result = json.loads((tmp_path / "compared" / "fuxictr-lr" / "result.json").read_text(encoding="utf-8"))
    assert len(result["best_steps"]) == 2 and set(result["found"]) <= {"learning_rate", "regularizer"}
    # Two seeds are two models of one kind, on rows in our order.
    first, second = (np.load(tmp_path / "compared" / "fuxictr-dnn" / f"seed{seed}.npy") for seed in range(2))
    ours = np.load(tmp_path / "compared" / "dnn-seed0" / "test_logits.npy")
    assert np.any(first != second) and np.corrcoef(first, second)[0, 1] > 0.5 < np.corrcoef(first, ours)[0, 1]
    compare.main(words)
    assert "fuxictr-lr" in capsys.readouterr().out, "started again, it has nothing left to train"
