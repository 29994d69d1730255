"""Runs of a small table: what they reach, going on after a kill, parts, and the report's three forms."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynctr_tf.durable_files import write_json
from pipelines.compare import Comparison, caption
from pipelines.papers.descriptions import Item, Paper, PaperData, System, read_column
from pipelines.papers.document import Bullets, Heading, Paragraph, Printed, Table, to_html, to_markdown
from pipelines.papers.experiment import Rows, Settings, merge
from pipelines.papers.measure import Cell, Line, Measured, order_agreement, verdicts
from pipelines.papers.parts import part_of_rows
from pipelines.papers.pictures import plot_singular_values, values_for_share
from pipelines.papers.report import Report, blocks_of, write_report
from pipelines.papers.run import Plan, run_command, run_rows

ITEM = Item(
    "dynint",
    "table-9",
    "Two small models",
    data=("synthetic",),
    columns=tuple(map(read_column, ("auc", "log_loss", "auc@user_id<20", "thousand_parameters"))),
    reference="LR",
    systems=(
        System("LR", ("lr",), "all", x=1.0),
        System("FM & co", ("fm",), "all", {"embedding.dim": 4}, x=2.0),
        System("both", mean_of=("LR", "FM & co")),
    ),
    printed={"synthetic": {"LR": [0.7, 0.5, 0.6, 1.0], "FM & co": [0.8, 0.4, 0.7, 2.0]}},
    remarks=("A table of this test.",),
    x_label="order",
)
SETTINGS = Settings(
    Path("settings.toml"),
    "Ours, for this test.",
    1,
    False,
    {
        "training": {"batch_size": 256, "epochs": 1, "tensorboard": False},
        "evaluation": {"replicates": 40},
        "search": {"catalogue_space": False},
    },
    {"all": {"optimizer": {"name": "lazy_adam", "options": {"learning_rate": 0.01}}}},
    {},
)
SMALL = {"num_train": 2000, "num_validation": 300, "num_test": 600, "num_users": 60, "num_items": 30}
ROWS = Rows("synthetic", {"name": "synthetic_ctr", "options": SMALL}, "synthetic clicks", False)


class _Balance(HTMLParser):
    """Counts what a page opens and closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.slow
def test_a_table_is_run_goes_on_and_is_reported(tmp_path: Path) -> None:
    def plan(**changed: Any) -> Plan:
        given = {"seeds": 1, "trials": 0, "workers": 1, "output": tmp_path, "replicates": 60, **changed}
        return Plan(given.pop("item", ITEM), SETTINGS, **given)

    # The first half alone, as one of two machines would.
    assert run_rows(plan(part=(1, 2)), ROWS) is None
    folder = plan().folder / "synthetic"
    first = folder / "lr-seed0" / "result.json"
    assert first.exists() and not (folder / "fm-co-seed0").exists()
    written = first.stat().st_mtime_ns
    measured = run_rows(plan(), ROWS)
    assert measured is not None and first.stat().st_mtime_ns == written
    lr, fm, both = measured.lines
    assert [line.name for line in measured.lines] == ["LR", "FM & co", "both"] and both.runs == 2
    assert both.cells[0].value == pytest.approx((lr.cells[0].value + fm.cells[0].value) / 2)
    assert math.isnan(lr.cells[0].difference) and fm.cells[0].difference == pytest.approx(
        fm.cells[0].value - lr.cells[0].value
    )
    assert lr.printed == (0.7, 0.5, 0.6, 1.0) and both.printed == (None,) * 4
    assert fm.cells[3].value < 1.0 and math.isnan(both.cells[3].value)
    assert any("user_id<20:" in note for note in measured.notes)
    (best,) = (float(found[1]) for note in measured.notes if (found := re.match(r"The true .* AUC of (\S+) ", note)))
    assert max(line.cells[0].value for line in measured.lines) < best < 0.9
    # Where a run has lost its result, that one alone is made again.
    second = folder / "fm-co-seed0" / "result.json"
    second.unlink()
    again = run_rows(plan(), ROWS)
    assert again is not None and second.exists() and first.stat().st_mtime_ns == written
    assert [line.cells[0].value for line in again.lines] == [line.cells[0].value for line in measured.lines]

    # Another table of the same models takes their trainings from this one.
    same = run_rows(plan(item=dataclasses.replace(ITEM, key="table-8")), ROWS)
    assert same is not None and not list((tmp_path / "dynint" / "table-8").rglob("result.json"))
    assert [line.cells[0].value for line in same.lines] == [line.cells[0].value for line in measured.lines]

    paper = Paper("dynint", "A paper", "somebody", {"synthetic": PaperData(10**6, 14, 10**5, "a file")})
    report = Report(paper, ITEM, "settings.toml", "Ours, for this test.", 1, "no search", [again], ["other"])
    markdown, page, plain = write_report(report, plan().folder)
    text = markdown.read_text(encoding="utf-8")
    assert "| FM & co | 0.8000 | 0.4000 |" in text and "the whole data set has 1,000,000 rows" in text
    assert "other: not run" in text and "![synthetic" in text
    balance = _Balance()
    balance.feed(page.read_text(encoding="utf-8"))
    assert balance.open == [] and "FM & co" in balance.text
    assert "data:image/png;base64," in page.read_text(encoding="utf-8")
    found = json.loads(plain.read_text(encoding="utf-8"))
    assert found["measured"][0]["lines"][1]["cells"][0]["value"] == pytest.approx(again.lines[1].cells[0].value)


@pytest.mark.slow
def test_a_search_of_another_table_is_taken_where_it_is_as_long(tmp_path: Path) -> None:
    space = {"search": {"space": {"optimizer": {"learning_rate": {"low": 0.01, "high": 0.1}}}}}
    settings = dataclasses.replace(SETTINGS, common=merge(SETTINGS.common, space))
    lr = dataclasses.replace(ITEM, systems=ITEM.systems[:1], printed={})

    def searches_of(key: str, trials: int) -> list[Path]:
        plan = Plan(dataclasses.replace(lr, key=key), settings, 1, trials, 1, tmp_path, 60)
        assert run_rows(plan, ROWS) is not None
        return [file.parent for file in plan.folder.rglob("search.json")]

    assert len(searches_of("table-1", 1)) == 1 and not searches_of("table-2", 1)
    assert len(searches_of("table-3", 2)) == 1  # more trials are another effort


def test_rare_users_are_counted_in_the_training_rows(small_data: Any) -> None:
    counts = np.bincount(small_data.column("train", feature="user_id"))
    users = small_data.column("test", feature="user_id")
    seen = np.array([counts[user] if user < len(counts) else 0 for user in users])
    unknown = users == next(f for f in small_data.features.fields if f.name == "user_id").first_id + 1
    expected = np.where(unknown, 0, seen) < 20
    found = part_of_rows(small_data, read_column("auc@user_id<20"))
    assert 0 < found.sum() < len(found) and np.array_equal(found, expected)
    rarest = part_of_rows(small_data, read_column("auc@user_id<20%"))
    assert 0 < rarest.mean() < 0.5 and seen[rarest].max() <= seen[~rarest].min()
    assert part_of_rows(small_data, read_column("auc")).all()
    with pytest.raises(ValueError, match="Unknown field of the column 'auc@user<20': 'user'. Did you mean 'user_id'"):
        part_of_rows(small_data, read_column("auc@user<20"))
    with pytest.raises(ValueError, match="Unknown history of the column"):
        part_of_rows(small_data, read_column("auc@user_id=0"))


@pytest.mark.parametrize(
    ("difference", "p", "word"),
    [
        (0.01, 0.001, "shows here too"),
        (-0.01, 0.001, "reversed here"),
        (0.01, 0.4, "may be chance here"),
    ],
)
def test_what_the_papers_order_is_here(difference: float, p: float, word: str) -> None:
    item = Item("p", "x", "t", columns=tuple(map(read_column, ("auc", "log_loss"))))
    auc = Cell(0.8, 0.7, 0.9, difference, difference - 0.005, difference + 0.005, p)
    # A lower log loss is the better one.
    loss = Cell(0.4, 0.3, 0.5, -difference, -difference - 0.005, -difference + 0.005, p)
    found = verdicts(item, Line("a", (auc, loss), (0.82, 0.41), 1), Line("b", (auc, loss), (0.81, 0.42), 1))
    assert [said for *_, said in found] == [word, word]
    assert [round(printed, 4) for _, printed, _, _ in found] == [0.01, -0.01]
    assert not verdicts(item, Line("a", (auc, loss), (None, None), 1), Line("b", (auc, loss), (0.8, 0.4), 1))


def test_how_far_the_order_of_the_rows_is_the_printed_one() -> None:
    def agreement(printed: list[float | None], ours: list[float]) -> Any:
        pairs = zip(printed, ours, strict=True)
        return order_agreement([Line(str(n), (Cell(found),), (told,), 1) for n, (told, found) in enumerate(pairs)], 0)

    same = agreement([0.79, 0.80, 0.81, 0.82, None], [0.70, 0.71, 0.74, 0.76, 0.1])
    assert same.rows == 4 and same.kendall_tau == pytest.approx(1.0) and same.p == pytest.approx(1 / 24)
    other = agreement([0.79, 0.80, 0.81, 0.82], [0.76, 0.74, 0.71, 0.70])
    assert other.kendall_tau == pytest.approx(-1.0) and other.p == pytest.approx(1.0)
    one_swap = agreement([1, 2, 3, 4, 5], [1, 2, 3, 5, 4])
    assert one_swap.kendall_tau == pytest.approx(0.8) and one_swap.p == pytest.approx(5 / 120)
    assert agreement([0.79, 0.80, 0.81], [1, 2, 3]) is None
    assert agreement([0.79, 0.80, 0.81, 0.82], [0.7, 0.7, 0.7, 0.7]) is None
    assert agreement([0.79, 0.80, 0.81, 0.82], [0.7, 0.8, 0.9, math.nan]) is None


def test_the_caption_counts_what_is_searched_and_not_the_trials(small_data: Any, tmp_path: Path) -> None:
    own = {}
    for name, space in (("lr", {}), ("fm", {"model": {"embedding": {"dim": [4, 8]}}})):
        group = SETTINGS.training["all"] | {"search": {"space": space}}
        settings = dataclasses.replace(SETTINGS, training={"all": group})
        own[name] = settings.of_system(ITEM, System(name, (name,), "all"), name, ROWS)
    comparison = Comparison(own, 1, {"lr": 0, "fm": 7}, tmp_path)
    said = caption(comparison, own, small_data)
    assert "searched hyper-parameters: 0 (lr), 1 (fm)" in said and "7" not in said and "end of what" not in said
    write_json(tmp_path / "search.json", {"reached_ends": {"rate": "0.1, the highest"}})
    comparison.searched = {"fm": tmp_path}
    lines = caption(comparison, own, small_data).splitlines()
    assert (
        all(lines) and "at the end of what was searched" in lines[-2] and lines[-1] == "  rate: 0.1, the highest (fm)"
    )


def test_a_job_of_its_own_is_reported_as_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = "import sys\nprint('a   b\\n1  <2')\nprint('a log', file=sys.stderr)\nopen(sys.argv[2] + '/f', 'w')\n"
    (tmp_path / "tiny_job.py").write_text(f"{job}sys.exit(len(sys.argv) - 3)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    item = Item("dynint", "memory", "Memory", "command", words="Less.", command=("tiny_job",))
    plan = Plan(item, SETTINGS, 1, None, 1, tmp_path / "out", 60)
    printed = run_command(plan)
    assert printed == "a   b\n1  <2\n" and (plan.folder / "f").exists()
    report = Report(Paper("dynint", "A paper", "somebody", {}), item, "", "", 1, "", (), output=printed)
    markdown, page, plain = (file.read_text(encoding="utf-8") for file in write_report(report, plan.folder))
    assert "```text\na   b\n1  <2\n```" in markdown and "<pre>a   b\n1  &lt;2</pre>" in page
    assert json.loads(plain)["output"] == printed and json.loads(plain)["different"] == []
    with pytest.raises(RuntimeError, match=r"tiny_job more ended with 1; its end says:\na   b\n1  <2\na log"):
        run_command(dataclasses.replace(plan, item=dataclasses.replace(item, command=("tiny_job", "more"))))


def test_a_page_has_no_empty_columns_and_settings_that_wrap() -> None:
    item = dataclasses.replace(ITEM, systems=ITEM.systems[:1], columns=ITEM.columns[:1], printed={})
    line = Line("LR", (Cell(0.7, 0.69, 0.71),), (None,), 1)
    measured = Measured("d", "rows", {"train": 10, "test": 5}, 2.0, "f", (line,), settings={"lr": "batch 8"})
    paper = Paper("dynint", "A paper", "somebody", {})
    blocks = blocks_of(Report(paper, item, "s.toml", "Ours.", 1, "no search", [measured]), Path())
    (table,) = [block for block in blocks if isinstance(block, Table)]
    assert table == Table(["", "runs", "ours", "95 % interval"], [["LR", "1", "0.7000", "0.6900 to 0.7100"]], {0})
    assert blocks[blocks.index(table) - 1] == Heading("AUC", 3)
    assert Bullets(["lr: batch 8"]) in blocks


def test_two_columns_without_printed_numbers_have_names_of_their_own() -> None:
    columns = tuple(map(read_column, ("thousand_parameters", "seconds_per_epoch")))
    item = dataclasses.replace(ITEM, systems=ITEM.systems[:1], columns=columns, printed={})
    line = Line("LR", (Cell(3.0, 3.0, 3.0), Cell(500.0, 500.0, 500.0)), (None, None), 1)
    measured = Measured("d", "rows", {"train": 10, "test": 5}, 2.0, "f", (line,), settings={"lr": "batch 8"})
    blocks = blocks_of(
        Report(Paper("dynint", "A paper", "somebody", {}), item, "s", "Ours.", 1, "", [measured]), Path()
    )
    (table,) = [block for block in blocks if isinstance(block, Table)]
    assert table.head[1:] == ["parameters (thousands), ours", "s/epoch, ours"]


def test_the_report_says_how_far_the_order_is_the_printed_one(tmp_path: Path) -> None:
    item = dataclasses.replace(ITEM, systems=ITEM.systems[:1], columns=(read_column("auc"),), printed={})
    lines = tuple(Line(f"m{n}", (Cell(0.7 + n / 100),), (0.8 + n / 100,), 3) for n in range(5))
    measured = Measured("d", "rows", {"train": 10, "test": 5}, 2.0, "f", lines)
    report = Report(Paper("dynint", "A paper", "somebody", {}), item, "s", "Ours.", 3, "", [measured])
    markdown, _, plain = write_report(report, tmp_path)
    said = "Order of the 5 rows with a printed number: Kendall's rank correlation with the printed order is +1.00"
    assert said in markdown.read_text(encoding="utf-8") and "probability of 0.0083" in markdown.read_text()
    (written,) = json.loads(plain.read_text(encoding="utf-8"))["measured"]
    assert written["orders"]["auc"] == pytest.approx({"rows": 5, "kendall_tau": 1.0, "p": 1 / 120})


def test_a_long_title_is_in_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr("pipelines.papers.pictures.Figure.savefig", lambda figure, *_, **__: drawn.append(figure))
    what = "avazu, the file clicks $10_$20.gz, and synthetic clicks with known probabilities, in place of the data set"
    with contextlib.suppress(FileNotFoundError):  # nothing is saved
        plot_singular_values(tmp_path / "x.png", {"pin_1": np.array([2.0, 1.0])}, what)
    (figure,) = drawn
    figure.canvas.draw()
    title = figure.get_suptitle()
    assert title.replace("\n", " ").replace("\\", "").endswith(what)
    assert figure.texts[0].get_window_extent().x1 < figure.bbox.x1


def test_what_is_written_is_no_markup() -> None:
    blocks = [Heading("a < b", 1), Paragraph("<script>"), Bullets(["x & y"]), Table(["<h>"], [["|"]], frozenset({0}))]
    page = to_html("t<", [*blocks, Printed("</pre>")])
    assert "<script>" not in page and "x &amp; y" in page and "a &lt; b" in page and "&lt;/pre&gt;" in page
    assert "\\|" in to_markdown(blocks, Path())


def test_how_many_singular_values_hold_a_share() -> None:
    assert values_for_share(np.array([1.0, 0.0, 0.0])) == 1 and values_for_share(np.ones(10), 0.9) == 9
