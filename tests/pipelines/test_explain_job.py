"""The job that explains a run: of a dynamic, a static and a sequence model, started again, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dynctr_tf.durable_files import read_json, write_json
from dynctr_tf.jobs.explain import open_run, prediction, sampled_rows
from pipelines import explain, train

SMALL = ["--data.options.num_train", "3000", "--data.options.num_validation", "500", "--data.options.num_test", "700"]
SHORT = ["--training.batch_size", "256", "--training.epochs", "1", "--training.tensorboard", "false"]
SHORT += ["--evaluation.replicates", "40", "--export.directory", "none", "--model.embedding.dim", "4"]
QUICK = ["--permutations", "2", "--replicates", "40"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short runs in one folder."""
    here = tmp_path_factory.mktemp("runs")
    for name, words in (("dynint_dgp", ["--model.num_layers", "2", "--model.num_subspaces", "2"]), ("dnn", [])):
        where = ["--run-directory", str(here / name), "--data.directory", str(here / "data")]
        train.main(["--model.name", name, *words, *SMALL, *SHORT, *where])
    return here


def test_a_dynamic_model(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain.main([str(runs / "dynint_dgp"), *QUICK, "--by", "device", "--rows", "500"])
    shown = capsys.readouterr().out
    assert "500 of 700 test rows" in shown and "what is lost when a field's values are exchanged" in shown
    folder = runs / "dynint_dgp" / "explain"
    for name in ("importance", "dynamic"):
        assert (folder / f"{name}.png").stat().st_size > 10_000 and (folder / f"{name}.txt").read_text() in shown
    importance, dynamic = (json.loads((folder / f"{name}.json").read_text()) for name in ("importance", "dynamic"))
    fields = ["scenario_id", "user_id", "item_price"]
    assert set(fields) < {field["name"] for field in importance["fields"]} and len(importance["fields"]) == 14
    assert dynamic["by"] == "device" and not dynamic["static"] and dynamic["tensors"]
    # Raw values, as the rows have them.
    row = dynamic["unusual"][0]
    assert row["values"]["device"] in ("mobile", "desktop", "tablet", "tv", "(missing)")
    assert row["values"]["user_id"].startswith(("u", "(unknown)"))
    # Started again nothing is computed twice; with other arguments all is.
    explain.main([str(runs / "dynint_dgp"), *QUICK, "--by", "device", "--rows", "500"])
    assert "14 of 14 fields are known" in capsys.readouterr().out
    assert json.loads((folder / "importance.json").read_text()) == importance
    kept = read_json(folder / "fields.json")
    write_json(folder / "fields.json", {"key": kept["key"], "fields": kept["fields"][:5]})
    explain.main([str(runs / "dynint_dgp"), *QUICK, "--by", "device", "--rows", "500"])
    assert "5 of 14 fields are known" in capsys.readouterr().out
    assert json.loads((folder / "importance.json").read_text()) == importance
    explain.main([str(runs / "dynint_dgp"), *QUICK, "--rows", "500", "--output", str(runs / "elsewhere")])
    assert "are known" not in capsys.readouterr().out


def test_it_answers_as_the_trainer_did(runs: Path) -> None:
    run = open_run(runs / "dynint_dgp")
    rows = sampled_rows(run, "test", 10_000)
    np.testing.assert_allclose(
        prediction(run)(rows.inputs), np.load(runs / "dynint_dgp" / "test_logits.npy"), atol=1e-5
    )
    some = sampled_rows(run, "test", 100, seed=1)
    assert len(some.labels) == 100 and (np.diff(some.numbers) > 0).all()
    for name, entry in some.inputs.items():
        np.testing.assert_array_equal(entry, rows.inputs[name][some.numbers])
    np.testing.assert_array_equal(some.labels, rows.labels[some.numbers])


def test_a_static_model_is_said_to_be_so(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain.main([str(runs / "dnn"), *QUICK])
    assert "no layer of it generates parameters" in capsys.readouterr().out
    assert json.loads((runs / "dnn" / "explain" / "dynamic.json").read_text())["static"] is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "is not a folder: there is no settings.toml"),
        (["data"], "holds no run of `train`"),
        (["data"], "own is explained in code: dynctr_tf.evaluation.permutation_importance"),
        (["dynint_dgp", "--split", "tset"], "Did you mean 'test'"),
        (["dynint_dgp", "--by", "devise"], "Did you mean 'device'"),
        (["dynint_dgp", "--rows", "0"], "must be at least 1, got 0"),
        (["dynint_dgp", "--permutations", "0"], "permutations must be at least 1"),
    ],
)
def test_what_is_refused(runs: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        explain.main([str(runs / words[0]), *words[1:]])
    assert ended.value.code == 2 and message in " ".join(capsys.readouterr().err.split())


def test_rows_that_have_changed_are_refused(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = runs / "dnn" / "about.json"
    kept = about.read_text()
    try:
        write_json(about, {**read_json(about), "rows": "0123456789abcdef"})
        with pytest.raises(SystemExit):
            explain.main([str(runs / "dnn"), *QUICK])
        assert "are not those that" in capsys.readouterr().err
    finally:
        about.write_text(kept)
