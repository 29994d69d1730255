"""The jobs on the public data sets, from their original files by the settings files, and models compared on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from original_lines import tag_rows, user_sequences, write_movielens, write_review_objects, write_tags_dat

from dynctr_tf.jobs.settings_file import read_file
from pipelines import compare, train

ROOT = Path(__file__).parents[2]

SHORT = ["--training.batch_size", "256", "--training.epochs", "1", "--training.evaluate_every", "2"]
SHORT += ["--evaluation.replicates", "40", "--model.embedding.dim", "4"]
SHORT += ["--export.even_if_worse_than_base_rate", "true"]


def settings_file(name: str) -> str:
    return str(ROOT / "pipelines" / "configs" / f"{name}.toml")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.chdir(tmp_path)
    write_movielens(tmp_path, num_ratings=900)
    return {
        "movielens_tag": write_tags_dat(tmp_path / "tags.dat", tag_rows(400)),
        "movielens_1m": tmp_path / "ratings.dat",
        "amazon_reviews": write_review_objects(tmp_path, user_sequences(100)),
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("movielens_tag", ["--model.deep.units", "[8,8,8]", "--model.contexts", "x:tag"]),
        ("movielens_1m", ["--model.deep.units", "[8]", "--export.directory", "none"]),
        ("amazon_reviews", ["--model.name", "din", "--model.deep.units", "[8]", "--data.seed", "3"]),
    ],
)
def test_train_by_the_settings_file(
    files: dict[str, Path], name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(["--config", settings_file(name), "--data.path", str(files[name]), *SHORT, *words])
    text = capsys.readouterr().out
    (run,) = (path for path in Path("runs").iterdir() if path.name != "data")
    assert run.name.startswith(f"{name}-")
    assert np.isfinite(np.load(run / "test_logits.npy")).all()
    assert "AUC" in text and ("SavedModel" in text) == ("none" not in words)


def test_compare_one_model_under_several_names(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--config", settings_file("movielens_tag"), "--data.path", str(files["movielens_tag"]), *SHORT]
    base += ["--model.deep.units", "[8,4]", "--seeds", "1", "--trials", "0", "--output", "compared"]
    static_second = 'dpn-first=dpn contexts=["z0","none"] operation.gate_activation=sigmoid'
    compare.main([*base, "--models", "dpn", static_second, "dnn", "--reference", "dpn-first"])
    text = capsys.readouterr().out
    assert "each model minus the static model that it is compared with; p adjusted by Holm's rule for 2 tests" in text
    (group,) = json.loads(Path("compared/comparison.json").read_text())["paired"]
    assert [(pair["model"], pair["partner"]) for pair in group["pairs"]] == [("dpn", "dnn"), ("dpn-first", "dnn")]
    options = read_file("compared/dpn-first.toml")["model"]
    assert options["name"] == "dpn" and options["contexts"] == ["z0", "none"]
    counts = [
        json.loads(Path(f"compared/{n}-seed0/result.json").read_text())["parameters"] for n in ("dpn", "dpn-first")
    ]
    assert counts[0] != counts[1]
    for models, message in (
        (["dpn", "dpn"], "Several models have one name"),
        (["dpn operation.gate_activation=sigmoid"], "name=model option=value"),
        (["a=dpn operation.gate_activaton=sigmoid"], "Did you mean 'operation.gate_activation'"),
        (["../a=dpn"], "name=model option=value"),
        (["a=dpnn"], "Unknown model: 'dpnn'"),
    ):
        with pytest.raises(SystemExit) as ended:
            compare.main([*base, "--models", *models])
        assert ended.value.code == 2 and message in capsys.readouterr().err
