"""The descriptions of the papers' tables: all of them are there, and each fits the catalogue and its settings."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path

import pytest

from dynctr_tf.encoding import Encoder
from dynctr_tf.jobs.preparing import open_source
from dynctr_tf.jobs.search import search_space
from dynctr_tf.jobs.settings import DataSettings
from dynctr_tf.jobs.settings_file import read_file
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.tuning import grid_size
from pipelines.papers import main
from pipelines.papers.descriptions import (
    PAPERS,
    Item,
    all_items,
    find_item,
    items_of,
    read_column,
    read_item,
    read_paper,
)
from pipelines.papers.estimates import RATES, estimate, rate_of
from pipelines.papers.experiment import Rows, Settings, merge, rows_of
from pipelines.papers.run import trials_of

# Tables and figures that the papers have, counted by hand; of OptMSM the abstract alone.
KNOWN = {
    "dynint": [
        "table-1",
        "table-2",
        "table-3",
        "table-4",
        "figure-4",
        "figure-5",
        "figure-6",
        "figure-7a",
        "figure-7b",
    ],
    "dpn": ["table-1", "table-2a", "table-2b", "table-2c", *(f"table-{number}" for number in range(3, 9))],
}
TRAINED = [item for item in all_items() if item.kind in ("comparison", "singular_values")]


def test_every_table_and_figure_is_there() -> None:
    for paper, keys in KNOWN.items():
        assert [item.key for item in items_of(paper) if item.key.startswith(("table", "figure"))] == keys
    assert {item.paper for item in all_items()} == set(PAPERS)
    for item in all_items():
        assert item.title and (item.impossible or item.command or item.data), item.name
        # Numbers of the paper, its words, or why there are none.
        assert item.printed or item.words or item.impossible or item.remarks, item.name
        assert set(item.data) <= set(read_paper(item.paper).data), item.name


def test_printed_numbers_are_copied_right() -> None:
    """Some of each table, typed a second time."""
    table = find_item("dynint/table-1").printed
    assert list(table["criteo"]["DynInt-DWP"]) == [0.8132, 0.4393] and list(table["ipinyou"]["LR"]) == [
        0.7692,
        0.005605,
    ]
    assert list(table["avazu"]["DynInt-DWP"]) == [0.7671, 0.3878] and len(table["criteo"]) == 16
    depth = find_item("dynint/table-3").printed
    assert [depth["criteo"][name][0] for name in depth["criteo"]] == [0.7921, 0.8058, 0.8068, 0.8075, 0.8085, 0.8081]
    assert list(find_item("dpn/table_5").printed["amazon_electronics"]["sDPN"]) == [0.8849, 0.8615, 0.8590]
    assert list(find_item("dpn/table-2b").printed["movielens_tag"]["both, (z_t, z_t)"]) == [0.9544, 0.2566, 400]
    assert list(find_item("dpn/table-1").printed["criteo"]["Feature-based DPN"]) == [0.8097, 0.4425]


@pytest.mark.parametrize("item", TRAINED, ids=lambda item: item.name)
@pytest.mark.parametrize("sample", [False, True])
def test_every_row_has_settings_that_the_catalogue_takes(item: Item, sample: bool) -> None:
    settings = Settings.read(item.paper, sample=sample)
    assert settings.first_line.startswith("Ours" if sample else ("As", "Ours"))
    for data in item.data:
        section = {key: value for key, value in settings.data[data].items() if key != "sample"}
        rows = Rows(data, {**section, "path": "rows.txt"}, "rows", True)
        effort: dict[str, set[int]] = {}
        for system in item.systems:
            for model in system.members.values():
                own = settings.of_system(item, system, model, rows)
                assert system.options.items() <= own.model.options.items()
                space = search_space(own)[1]
                assert not {f"model.{path}" for path in system.options} & set(space)
                # As many drawn sets for each; a grid is as large as the paper's ranges make it.
                effort.setdefault(system.training, set()).add(trials_of(own, 4))
                assert own.search.tuner != "grid" or trials_of(own, None) == grid_size(space)
        assert all(len(numbers) == 1 for numbers in effort.values())


OWN_OPTIONS = [item for item in TRAINED if any(system.options for system in item.systems)]


@pytest.mark.parametrize("item", OWN_OPTIONS, ids=lambda item: item.name)
def test_every_row_with_options_of_its_own_is_built(
    item: Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNCTR_DATA", str(tmp_path))  # no samples: rows are made
    settings = Settings.read(item.paper, sample=True)
    (rows,) = rows_of(dataclasses.replace(item, data=item.data[:1]), settings, {}, tmp_path, sample=True)
    features = Encoder.fit(open_source(DataSettings(**rows.data)), progress=False).features
    for system in item.systems:
        for model in system.members.values() if system.options else ():
            build_model(model, features, **settings.of_system(item, system, model, rows).model.options)


def test_jobs_of_their_own_are_there_and_write_where_they_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [item.command for item in all_items() if item.kind == "command"]
    assert ("pipelines.benchmark", "memory") in jobs
    for name, *words in jobs:
        with pytest.raises(SystemExit) as ended:
            importlib.import_module(name).main([*words, "--help"])
        assert ended.value.code == 0 and "--output OUTPUT" in capsys.readouterr().out


def test_some_data_sets_of_a_table_are_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNCTR_DATA", str(tmp_path))  # no samples: rows are made
    item, settings = find_item("dynint/table-1"), Settings.read("dynint", sample=True)
    rows = rows_of(item, settings, {}, tmp_path, sample=True, only=["ipinyou", "avazu"])
    assert [one.name for one in rows] == ["avazu", "ipinyou"]  # in the table's order


def test_a_data_set_that_the_project_makes_needs_no_file() -> None:
    item = find_item("optmsm/scenarios")
    samples, whole = (Settings.read("optmsm", sample=sample) for sample in (True, False))
    for settings, sample in ((samples, True), (whole, False)):
        (rows,) = rows_of(item, settings, {}, Path(), sample=sample, only=["known_truth"])
        source = open_source(DataSettings(**rows.data))
        assert source.schema.true_probability and rows.data["options"]["num_scenarios"] == 8
    assert rows.is_whole
    # Beside files it is run where it is named.
    files = {"avazu": "train.gz"}
    assert [one.name for one in rows_of(item, whole, files, Path(), sample=False)] == ["avazu"]
    both = rows_of(item, whole, files, Path(), sample=False, only=["avazu", "known_truth"])
    assert [one.name for one in both] == ["avazu", "known_truth"]
    with pytest.raises(ValueError, match="The project makes the rows of known_truth; name it under --only"):
        rows_of(item, whole, {"known_truth": "rows.csv"}, Path(), sample=False)
    with pytest.raises(ValueError, match="--data ali_ccp=PATH .* avazu=PATH; .*or --only known_truth"):
        rows_of(item, whole, {}, Path(), sample=False)


def test_the_papers_ranges() -> None:
    item = find_item("dynint/table-1")
    settings = Settings.read("dynint", sample=False)
    rows = rows_of(item, settings, {"criteo": "train.txt"}, Path(), sample=False)
    assert [one.name for one in rows] == ["criteo"] and rows[0].is_whole
    own = settings.of_system(item, item.system("DynInt-DWP"), "dynint_dwp", rows[0])
    assert (own.training.batch_size, own.training.evaluate_every, own.data.min_count) == (4096, 2000, 20)
    assert own.model.options["embedding.dim"] == 16 and own.data.binning == "log_of_square"
    space = {name: draw.values for name, draw in search_space(own)[1].items()}  # type: ignore[union-attr]
    assert space["model.num_layers"] == (1, 2, 3, 4) and space["model.num_subspaces"] == (1, 2, 4, 8, 16)
    assert space["model.rank"] == (1, 2, 3, 4) and space["optimizer.learning_rate"][::2] == (0.01, 0.1)
    dnn = settings.of_system(item, item.system("DNN"), "dnn", rows[0])
    rates = search_space(dnn)[1]["optimizer.learning_rate"].values  # type: ignore[union-attr]
    assert dnn.optimizer.name == "adam" and (rates[0], rates[-1]) == (1e-4, 1e-3)


def test_settings_of_one_model_stand_over_those_of_its_group() -> None:
    item, settings = find_item("dynint/table-1"), Settings.read("dynint", sample=True)
    rows = Rows("avazu", {"name": "avazu", "path": "train.gz"}, "rows", True)
    lr, fm = (settings.of_system(item, item.system(name), name.lower(), rows).optimizer for name in ("LR", "FM"))
    assert lr.name == fm.name == "group_ftrl" and lr.options["l21"] == fm.options["l21"] == 0.0
    assert (lr.options["learning_rate"], fm.options["learning_rate"]) == (0.1, 0.02)
    wrong = dataclasses.replace(settings, of_model={"fmm": {}})
    with pytest.raises(ValueError, match="'fmm'.*'fm'"):
        wrong.of_system(item, item.system("LR"), "lr", rows)


def test_the_comparison_of_all_runs_counts_in_the_memory() -> None:
    paper = read_paper("dynint")
    # 16 models of 5 seeds on a fifth of the rows, 64 bytes each; beside it the training is small.
    expected = 80 * 0.2 * paper.data["criteo"].rows * 64 / 2**30
    assert estimate(find_item("dynint/table-1"), paper, sample=False).gibibytes == pytest.approx(expected, abs=1.0)
    assert estimate(find_item("dynint/table-1"), paper, sample=True).gibibytes < 1.5
    # Rows that are means of others hold the runs of those again.
    gains = find_item("apg/gains")
    alone = dataclasses.replace(gains, systems=gains.systems[:-2])
    whole, less = (estimate(item, read_paper("apg"), sample=False).gibibytes for item in (gains, alone))
    assert whole > less


def test_rates_follow_the_fields_and_every_training_has_a_start() -> None:
    given = read_file(RATES)
    dnn, fastest = given["rows_per_second"]["dnn"], max(given["rows_per_second"].values())
    assert rate_of(given, "dnn", 39) == dnn and rate_of(given, "dnn", 13) == pytest.approx(3 * dnn)
    assert rate_of(given, "fm", 3) == fastest
    assert rate_of(given, "din", 3) == rate_of(given, "din", 39) == given["rows_per_second_on_their_data"]["din"]
    assert sorted(given["rows_per_second"].values())[0] <= rate_of(given, "no_rate", 39) <= fastest
    item, paper = find_item("dpn/table-3"), read_paper("dpn")
    found = estimate(item, paper, sample=True)
    assert found.hours * 3600 > found.trainings * given["seconds_beside_steps"]["training"]


def test_an_option_that_no_model_has_is_refused_in_the_settings_of_all() -> None:
    item = find_item("dynint/table-2")
    settings = Settings.read("dynint", sample=True)
    rows = Rows("criteo", {"name": "criteo_display_ads", "path": "train.txt"}, "rows", True)
    for common in ({"model": {"deep": {"unit": [8]}}}, {"search": {"space": {"model": {"deep": {"unit": [[8]]}}}}}):
        wrong = dataclasses.replace(settings, common=merge(settings.common, common))
        with pytest.raises(ValueError, match="PNN of dynint/table-2.*'deep.unit'. Did you mean 'deep.units'"):
            wrong.of_system(item, item.system("PNN"), "pnn_both", rows)


def test_what_is_wrong_is_said_before_the_first_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.papers.run.run_rows", lambda *_: pytest.fail("It trains."))
    row = "\t".join(["{label}", *["{number}"] * 13, *["a"] * 26])
    file = tmp_path / "train.txt"
    file.write_text("".join(row.format(label=n % 2, number=n) + "\n" for n in range(80)), encoding="utf-8")
    output = ["--output", str(tmp_path / "out")]
    data = ["--data", f"criteo={file}", f"avazu={tmp_path / 'avazu.gz'}"]
    for words, message in (([*data], "avazu.gz"), ([*data[:2], "--replicates", "30"], "at least 40")):
        with pytest.raises(SystemExit):
            main(["run", "dynint/table-1", *words, *output])
        assert message in capsys.readouterr().err


def test_what_is_given_is_checked() -> None:
    item = find_item("dynint/table-2")
    settings = Settings.read("dynint", sample=False)
    with pytest.raises(ValueError, match="Unknown data set of dynint/table-2: 'crito'. Did you mean 'criteo'"):
        rows_of(item, settings, {"crito": "x"}, Path(), sample=False)
    with pytest.raises(ValueError, match="needs the files of its data sets: --data criteo=PATH"):
        rows_of(item, settings, {}, Path(), sample=False)
    with pytest.raises(ValueError, match="Unknown data set of dynint/table-2: 'avazu'"):
        rows_of(item, settings, {}, Path(), sample=True, only=["avazu"])
    wide = find_item("dynint/table-1")
    with pytest.raises(ValueError, match="--data gives criteo, but --only runs avazu alone"):
        rows_of(wide, settings, {"criteo": "x"}, Path(), sample=True, only=["avazu"])
    with pytest.raises(ValueError, match="Unknown paper: 'dynit'. Did you mean 'dynint'"):
        find_item("dynit/table-1")
    with pytest.raises(ValueError, match="Unknown table or figure of dynint: 'table-11'. Did you mean 'table-1'"):
        find_item("dynint/table-11")
    with pytest.raises(ValueError, match="Unknown metric of a column: 'acu'. Did you mean 'auc'"):
        read_column("acu")
    with pytest.raises(ValueError, match="A column is a metric, or"):
        read_column("auc@user_id>3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('titel = "a"', "Did you mean 'title'"),
        ('title = "a"\nkind = "comparision"', "Did you mean 'comparison'"),
        ('title = "a"\nreference = "A"\nsystems = [{ name = "A" }]', "needs models, or mean_of other rows"),
        (
            'title = "a"\nreference = "A"\ndata = ["d"]\ncolumns = ["auc"]\n'
            'systems = [{ name = "A", model = "fm", training = "t" }]\n[printed.d]\nA = [0.5, 0.4]',
            "has 2 of 1 numbers",
        ),
        ('title = "a"\nreference = "B"\nsystems = [{ name = "A", model = "fm" }]', "Unknown row of p/x: 'B'"),
    ],
)
def test_a_wrong_description_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_item(tmp_path / "x.toml", "p")


def test_merge_goes_into_tables() -> None:
    assert merge({"a": {"b": [1], "c": 2}}, {"a": {"b": [3]}}) == {"a": {"b": [3], "c": 2}}


def test_the_list(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(["list", "dynint", "--json"])
    assert json.loads(capsys.readouterr().out) == [item.name for item in items_of("dynint")]
    main(["list", "optmsm"])
    said = capsys.readouterr().out
    assert "optmsm/scenarios" in said and "not run: an online test" in said and "--data ali_ccp=PATH" in said
    with pytest.raises(SystemExit) as ended:
        main(["run", "dynint/table-1"])
    assert ended.value.code == 2 and "--data criteo=PATH" in capsys.readouterr().err
    main(["run", "dpn/table-6"])
    assert "nothing is run: 12 billion rows" in capsys.readouterr().out and not list(tmp_path.iterdir())
