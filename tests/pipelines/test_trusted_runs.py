"""What a job says of numbers that cannot be trusted, and what it refuses before any work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_tuner import HyperParameters

from dynctr_tf.jobs.comparison_caption import differences, narrow_searches
from dynctr_tf.jobs.settings import JobSettings, ModelSettings, OptimizerSettings, TrainingSettings
from dynctr_tf.jobs.stages import check_model, complete_settings, fit_model
from dynctr_tf.models import build_model
from dynctr_tf.training import machine_record, plan_steps, weight_limit
from dynctr_tf.training.steps import unfinished
from dynctr_tf.training.weight_limit import refuse_weights_that_do_not_fit
from dynctr_tf.tuning import HyperModel
from pipelines import __main__ as overview
from pipelines import benchmark, compare, train, tune

SMALL = ["--data.options.num_train", "1500", "--data.options.num_validation", "300", "--data.options.num_test", "300"]
QUICK = ["--training.epochs", "1", "--training.tensorboard", "false", "--evaluation.replicates", "40"]
DNN = ["--model.name", "dnn", "--model.embedding.dim", "4", "--model.deep.units", "[8]"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(job: Any, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        job.main(words)
    text = capsys.readouterr().err
    assert ended.value.code == 2, text
    assert "Traceback" not in text
    message = text[text.rindex(": error: ") + 9 :].strip()
    assert "\n" not in message
    return message


def test_a_model_that_is_no_better_than_the_base_rate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*DNN, *SMALL, *QUICK, "--optimizer.options.learning_rate", "1000", "--run-directory", "run"]
    train.main(words)
    text = capsys.readouterr().out
    assert "THE MODEL IS NO BETTER THAN THE BASE RATE" in text and "It is not exported" in text
    assert "batch size 64" in text and "1,500 training rows make 24 steps an epoch" in text
    assert "NOTE: the training had 24 steps only" in text
    assert not (here / "saved_models").exists()
    train.main([*words, "--export.even_if_worse_than_base_rate", "true"])
    text = capsys.readouterr().out
    assert "THE MODEL IS NO BETTER" in text and "SavedModel: " in text


def test_a_search_of_trials_that_are_no_better_than_the_base_rate(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *DNN,
        *SMALL,
        *QUICK,
        "--trials",
        "1",
        "--output",
        "my search",
        "--optimizer.options.learning_rate",
        "1000",
    ]
    tune.main([*words, "--training.monitor", "auc"])
    text = capsys.readouterr().out
    assert "Of the best trial: THE MODEL IS NO BETTER THAN THE BASE RATE" in text
    assert "THE MODEL IS NO BETTER" in (here / "my search" / "trials.txt").read_text(encoding="utf-8")
    assert "train them: python -m pipelines.train --config 'my search/best.toml'" in text


OWN = ["--data.path", "rows.csv", *DNN, *QUICK, "--export.directory", "none"]


def own_file(folder: Path, labels: Any, weights: Any = None, rows: int = 60) -> None:
    """Rows in the order train, validation, test (70, 10, 20 %), with a schema beside them."""
    lines = ["y,x" + ("" if weights is None else ",w")]
    for row in range(rows):
        lines.append(f"{labels[row]},{'abc'[row % 3]}" + ("" if weights is None else f",{weights[row]}"))
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    schema = {"features": [{"name": "x", "kind": "categorical"}], "label": "y"}
    if weights is not None:
        schema["weight"] = "w"
    (folder / "rows.schema.json").write_text(json.dumps(schema), encoding="utf-8")


MIXED = [0, 1, 0] * 20


@pytest.mark.parametrize(
    ("labels", "weights", "words", "message"),
    [
        ([0] * 60, None, [], "There is nothing to learn: no row is a click of the 42 train rows"),
        ([1] * 60, None, [], "There is nothing to learn: every row is a click of the 42 train rows"),
        (MIXED[:42] + [0] * 6 + MIXED[:12], None, ["--training.monitor", "auc"], "training.monitor is auc, which is"),
        (MIXED, [0] * 60, [], "the weights 'w' of the training rows are all 0"),
        (MIXED, [1] * 48 + [0] * 12, [], "All 12 test rows have the weight 0"),
        (MIXED, [1] * 59 + ["1e39"], [], "column 'w': expected a number of at least 0 that float32 holds"),
    ],
)
def test_rows_that_cannot_be_learnt_or_judged(
    labels: Any, weights: Any, words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_file(here, labels, weights)
    assert message in refused(train, [*OWN, "--data.split_by", "order", *words], capsys)
    assert not list(here.glob("runs/tabular_file-*")), "said before the training"


def test_a_test_split_without_clicks_is_said_with_its_reason(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_file(here, MIXED[:48] + [0] * 12)
    train.main([*OWN, "--data.split_by", "order"])
    text = capsys.readouterr().out
    assert "data.name: tabular_file" in text and "data.schema: rows.schema.json, beside the file" in text
    assert "NOTE: no row is a click of the 12 test rows, so that its AUC is not defined" in text
    assert "not defined, for none of the 12 rows is a click" in text


def test_no_test_rows_are_said_before_the_training(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_file(here, MIXED)
    words = [*OWN, "--data.options.splits", "{train = 0.5, validation = 0.5}"]
    assert "The test split has no rows" in refused(train, words, capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.embedding.dim", "1.5"], "embedding.dim of model 'dnn' must be a whole number, got 1.5"),
        (["--model.deep.dropout", "1"], "deep.dropout of model 'dnn' must be from 0 to below 1, got 1"),
        (["--model.deep.dropout", "nan"], "model.deep.dropout must be a finite number, got nan"),
        (["--model.deep.dropout", "half"], "deep.dropout of model 'dnn' must be a number, got 'half'"),
        (["--model.embedding.dim", "0"], "must be from 1 to"),
        (["--model.embedding.dim", "9" * 30], "at most 64 bits, got one of 30 digits"),
        (["--model.deep.units", "400"], "must be a list of whole numbers, got 400"),
        (["--model.deep.units", "[400, 0]"], "must be from 1 to"),
        (["--model.deep.units", "abc"], "must be a list of whole numbers, got 'abc'"),
        (["--model.deep.batch_norm", "3"], "must be true or false, got 3"),
        (["--model.deep.activation", "relo"], "Did you mean 'relu'"),
        (
            ["--optimizer.options.learning_rate", "0"],
            "learning_rate of optimizer 'row_wise_adagrad' must be above 0, got 0",
        ),
        (["--optimizer.options.learning_rate", "fast"], "must be a number above 0, got 'fast'"),
        (["--optimizer.options.learning_rate", "inf"], "must be a finite number, got inf"),
        (["--optimizer.options.lerning_rate", "1"], "Did you mean 'learning_rate'"),
        (["--optimizer.name", "adam", "--optimizer.options.beta_1", "1.5"], "must be from 0 to below 1, got 1.5"),
        (["--model", "dinn"], "Did you mean 'din' or 'dnn'"),
        (
            ["--model.options.embedding_dim", "4"],
            "Did you mean '--model.embedding.dim'? As in: --model.embedding.d",
        ),
        (["--model.embedding_dim", "4"], "Did you mean 'embedding.dim'"),
        (["--model.options.hidden_units", "[4]"], "Did you mean '--model.deep.units'"),
        (["--model.hidden_units", "[4]"], "Did you mean 'deep.units'"),
        (["--model.dropout", "0.1"], "Did you mean 'deep.dropout'"),
        (["--model.embedding", "4"], "embedding of model 'dnn' must be Embedding(...), got 4; in settings each of its"),
        (["--model.embedding.pooling", "max"], "Unknown pooling mode: 'max'"),
        (["--model.nam", "dnn"], "Did you mean '--model.name'"),
        (["--model.epochs", "3"], "Unknown option of model 'dnn': 'epochs'. Did you mean 'training.epochs'?"),
        (["--model.options", "3"], "table of settings; give one of them, as in --model.NAME VALUE"),
        (["--data.options.num_train", "many"], "num_train of data set 'synthetic_ctr' must be a whole number"),
        (["--data.options.x", "2020-01-01"], "Unknown option of data set 'synthetic_ctr': 'x'"),
        (["--data.min_count", "0"], "data.min_count must be at least 1, got 0"),
        (["--evaluation.batch_size", "0"], "evaluation.batch_size must be at least 1, got 0"),
        (["--evaluation.replicates", "1000000000000"], "evaluation.replicates must be at most 1,000,000"),
        (["--training.seed", "-1"], "training.seed must be at least 0, got -1"),
        (["--training.seed", "4294967296"], "training.seed must be at most 4,294,967,295"),
        (["--training.learning_rate", "0.1"], "Did you mean '--optimizer.options.learning_rate'"),
        (["--num_layers", "3"], "'--model.num_layers' belongs to another model"),
        (["--model.name", "dcn", "--num_layers", "3"], "Did you mean '--model.num_layers'"),
        (["--optimizer", "adam"], "as in --optimizer.name VALUE"),
        (["clicks.csv"], "--data.name tabular_file --data.path clicks.csv --data.schema clicks.schema.json"),
        (["--config", "."], "is a folder; give a TOML file in it"),
        (["--config", ""], "is a folder; give a TOML file in it"),
        (["--config", "bytes.toml"], "bytes.toml is not TOML: byte 0 is not UTF-8"),
        (["--config", "date.toml"], "data.options.x must be a number, a text, a list or true|false, got the date"),
        (["--config", "deep.toml"], "deep.toml is not TOML"),
        (["--config", "rate.toml"], "Did you mean 'optimizer.options.learning_rate', which a file gives as learning_r"),
        (["--config", "top.toml"], "Did you mean 'training.epochs', which a file gives as epochs = ... under [train"),
        (["--config", "path.toml"], "The file 'clicks.csv' needs a schema"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_settings_are_refused_before_the_work(
    words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bytes.toml").write_bytes(b"\xff\xfe\x00[")
    (here / "date.toml").write_text("[data.options]\nx = 2020-01-01\n")
    (here / "deep.toml").write_text("x = " + "[" * 5000 + "]" * 5000)
    (here / "rate.toml").write_text("[training]\nlearning_rate = 0.1\n")
    (here / "top.toml").write_text("epochs = 3\n")
    (here / "path.toml").write_text('[data]\npath = "clicks.csv"\n')
    base = [] if words[0] in ("--config", "--model") else [*DNN, *SMALL]
    assert message in refused(train, [*base, *words], capsys)
    assert not (here / "runs").exists()


def test_settings_of_a_schema_are_pointed_to_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_file(here, MIXED)
    message = refused(train, [*OWN, "--data.min_count", "2"], capsys)
    assert "set it in the schema, as 'min_count' of each feature" in message and "rows.schema.json" in message


def test_other_jobs_refuse_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--models has an empty name" in refused(compare, ["--models", "", "--output", "out"], capsys)
    words = ["--models", "lr", "dnn=dnn deep.dropout=1", "--output", "out"]
    assert "deep.dropout of model 'dnn' must be" in refused(compare, words, capsys)
    assert "'lrr'. Did you mean 'lr'" in refused(compare, ["--models", "lrr", "--output", "out"], capsys)
    # What none of them has is a slip; what another model has is left out.
    words = ["--models", "lr", "dnn", "--output", "out", "--model.num_layers", "2", "--trials", "1"]
    for slip in (["--model.deep.dropuot", "0.1"], ["--search.space.model.deep.dropuot", "[0.1]"]):
        assert "'deep.dropuot'. Did you mean 'deep.dropout'" in refused(compare, [*words, *slip], capsys)
    assert "search.trials must be at least 0" in refused(tune, ["--trials", "-1"], capsys)
    assert "dropout of model" in refused(tune, [*DNN, "--model.deep.dropout", "1"], capsys)


def test_a_model_that_does_not_fit_is_refused_with_its_figures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*DNN, *SMALL, *QUICK, "--model.embedding.dim", "1000000000"]
    message = refused(train, words, capsys)
    assert "does not fit into memory" in message and "x 1,000,000,000) alone takes" in message
    assert "GiB are available" in message


def test_weights_that_fit_are_made_and_others_are_not() -> None:
    import tensorflow as tf
    from tensorflow import keras

    with refuse_weights_that_do_not_fit(2, available=4 * 3 * (8 * 4 + 4)):
        dense = keras.layers.Dense(4)
        dense.build((None, 8))
    assert dense.kernel.shape == (8, 4)
    with (
        pytest.raises(ValueError, match=r"kernel \(8 x 4\) alone takes"),
        refuse_weights_that_do_not_fit(2, available=4 * 3 * 31),
    ):
        keras.layers.Dense(4).build((None, 8))
    assert float(tf.Variable(1.0)) == 1.0


def test_a_model_fits_by_what_its_optimizer_keeps(
    small_data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"embedding.dim": 4, "deep.units": (8,)}
    numbers = build_model("dnn", small_data.features, **options).count_params()
    # Room for the weights and half as much again.
    monkeypatch.setattr(weight_limit, "available_memory_bytes", lambda: 1.5 * 4 * numbers)

    def fit(optimizer: str) -> None:
        settings = JobSettings(
            model=ModelSettings("dnn", options),
            optimizer=OptimizerSettings(optimizer),
            training=TrainingSettings(batch_size=1000, epochs=1, tensorboard=False),
        )
        fit_model(settings, small_data, tmp_path / optimizer)

    fit("row_wise_adagrad")  # one number for each row
    with pytest.raises(ValueError, match="and with the numbers that the optimizer keeps of each"):
        fit("sparse_adagrad")  # one for each weight


@pytest.mark.parametrize(
    ("rows", "batch"), [(1, 64), (6_000, 64), (12_800, 128), (100_000, 512), (409_600, 4096), (10**8, 4096)]
)
def test_steps_follow_from_the_rows(rows: int, batch: int) -> None:
    plan = plan_steps(rows)
    assert plan.batch_size == batch
    assert plan.steps_per_epoch * batch >= rows > (plan.steps_per_epoch - 1) * batch
    assert plan.patience * plan.evaluate_every >= 2 * plan.steps_per_epoch
    assert plan_steps(rows, replicas=3).batch_size % 3 == 0
    given = plan_steps(rows, batch_size=32, evaluate_every=5, patience=0)
    assert (given.batch_size, given.evaluate_every, given.patience, given.to_text()) == (32, 5, 0, "")


def test_first_order_weights_learn_faster_where_no_network_is(
    small_data: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def factor(model: str, optimizer: str = "default", **options: Any) -> Any:
        settings = JobSettings(model=ModelSettings(model), optimizer=OptimizerSettings(optimizer, options=options))
        completed = complete_settings(settings, small_data)
        assert complete_settings(completed, small_data, say=False) == completed
        check_model(completed)
        return completed.optimizer.options.get("first_order_factor")

    assert factor("fm") == factor("hofm", "row_wise_adagrad") == factor("afm") == 0.5
    assert "optimizer.options.first_order_factor 0.5, which suits fm" in capsys.readouterr().out
    assert factor("fm", first_order_factor=0.2) == 0.2
    assert factor("fm", "lazy_adam") is factor("deepfm") is None
    assert "which suits" not in capsys.readouterr().out
    built = HyperModel("fm", small_data, space={}).build(HyperParameters())
    assert [
        member.first_order_factor for member in built.optimizer.members() if hasattr(member, "first_order_factor")
    ] == [0.5]


def test_what_compared_models_differ_in_is_said() -> None:
    own = {
        "dnn": JobSettings(model=ModelSettings("dnn")),
        "narrow": JobSettings(model=ModelSettings("dnn", {"embedding.dim": 8})),
        "dpn": JobSettings(model=ModelSettings("dpn", {"embedding.dim": 16, "deep.batch_norm": True})),
    }
    text = differences(own, {"dnn": 3, "narrow": 3, "dpn": 5})
    assert text.splitlines()[1:] == [
        "  embedding size: 16 (dnn, dpn), 8 (narrow)",
        "  normalisation: none (dnn, narrow), batch_norm (dpn)",
        "  searched hyper-parameters: 3 (dnn, narrow), 5 (dpn)",
    ]
    assert differences(dict.fromkeys("ab", own["dnn"]), {"a": 0, "b": 0}) == ""


def test_searches_that_were_too_narrow_are_said() -> None:
    high, low = (
        "0.09, the highest of 3 values (searched: 0.001 to 0.1)",
        "0.001, the lowest of 4 values (searched: 0.001 to 0.1)",
    )
    found = {"fm": {"rate": high}, "lr": {}, "dnn": {"rate": low, "rank": "8, ..."}, "dpn": {"rate": high}}
    assert narrow_searches(found).splitlines()[1:] == [f"  rate: {high} (fm, dpn), {low} (dnn)", "  rank: 8, ... (dnn)"]
    assert narrow_searches({"fm": {}, "lr": {}}) == narrow_searches({}) == ""


def test_a_short_training_is_said_to_be_short() -> None:
    assert unfinished(1000, 750, stopped_early=False, epochs=3) == ""
    assert unfinished(200, 100, stopped_early=True, epochs=3) == ""
    assert "still improving" in unfinished(1000, 1000, stopped_early=False, epochs=3)
    assert "had 200 steps only" in unfinished(200, 100, stopped_early=False, epochs=3)


def test_the_jobs_are_listed_and_started_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert overview.main([]) == 0
    text = capsys.readouterr().out
    for job in overview.JOBS:
        assert any(line.split()[:1] == [job] and len(line.split()) > 5 for line in text.splitlines()), job
    page = (Path(overview.__file__).parent / "benchmarks" / "README.md").read_text(encoding="utf-8")
    measured = set(re.findall(r"`python -m pipelines\.(benchmarks\.\w+)", page))
    assert len(measured) > 4 and measured <= set(overview.JOBS), "each command of the page of measurements is listed"
    place = Path(overview.__file__).parent
    files = [file for file in place.rglob("*.py") if '__name__ == "__main__"' in file.read_text(encoding="utf-8")]
    names = [".".join(file.relative_to(place).with_suffix("").parts) for file in files]
    startable = {name.removesuffix("__main__").rstrip(".") for name in names} - {""}
    # These are started by other jobs, in processes of their own.
    parts = {"benchmarks.layer_cost_cases", "peers.deepctr_speed", "peers.fuxictr_speed", "peers.fuxictr_train"}
    assert startable - parts == set(overview.JOBS), "each file that can be started is a job"
    assert overview.main(["trian", "--help"]) == 2
    assert "Did you mean `dynctr train`" in capsys.readouterr().err
    assert overview.main(["clicks.csv"]) == 2
    assert "dynctr schema clicks.csv" in capsys.readouterr().err
    assert overview.main(["--version"]) == 0 and capsys.readouterr().out.startswith("dynctr_tf ")
    with pytest.raises(SystemExit) as ended:
        overview.main(["schema", "--help"])
    assert ended.value.code == 0 and "python -m pipelines.schema" in capsys.readouterr().out


def test_the_command_lists_without_tensorflow() -> None:
    code = "import sys, pipelines.__main__ as m; m.main([]); print('tensorflow' in sys.modules)"
    root = Path(overview.__file__).parent.parent
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert shown.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fuxictr-python", sys.executable], "give --fuxictr-zoo"),
        (["--fuxictr-python", sys.executable, "--fuxictr-zoo", "nowhere"], "must name the folder model_zoo"),
        (["--fuxictr-python", "/no/python", "--fuxictr-zoo", "zoo"], "there is no '/no/python'"),
        (["--fuxictr-python", sys.executable, "--fuxictr-zoo", "zoo"], "says: ModuleNotFoundError"),
        (["--rounds", "0"], "--rounds must be at least 1"),
    ],
)
def test_speed_checks_its_contenders_before_the_first_run(
    words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorflow")
    if "ModuleNotFoundError" in message:
        try:
            import fuxictr  # noqa: F401

            pytest.skip("this interpreter has FuxiCTR")
        except ImportError:
            pass
    (here / "zoo" / "DeepFM").mkdir(parents=True)
    assert message in refused(benchmark, ["speed", "--models", "lr", "--ids", "1000", *words], capsys)
    assert not (here / "runs").exists()


def test_the_record_of_the_machine_is_plain() -> None:
    record = machine_record()
    assert json.loads(json.dumps(record)) == record
    assert record["intra_op_threads"] >= 1 and record["cores"] >= 1 and record["cpu"]
    assert "tensorflow" in record["packages"] and np.__version__ == record["packages"]["numpy"]
