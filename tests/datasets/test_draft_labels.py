"""Labels as people have them, and columns that tell them."""

from __future__ import annotations

import csv
import random
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dynctr_tf.datasets import TabularFile, draft_schema
from dynctr_tf.datasets.draft_leakage import weighted_auc
from pipelines import schema as command

ROWS = 600


def choices(values: Sequence[Any], seed: int = 0) -> list[Any]:
    return random.Random(seed).choices(list(values), k=ROWS)


def written(folder: Path, columns: dict[str, Sequence[Any]]) -> Path:
    """A CSV file of some columns and a feature that has nothing to do with them."""
    columns = {**columns, "topic": choices(["news", "food", "sport"], 99)}
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return folder / "rows.csv"


def read_labels(path: Path, schema: Any) -> np.ndarray:
    return np.concatenate([batch.columns[schema.label].to_numpy() for batch in TabularFile(path, schema).batches()])


PLAIN = {
    # The cells, what the draft says of them, and the labels that are read.
    "0 and 1": ([0, 1], {}, {"0": 0, "1": 1}),
    "0.0 and 1.0": (["0.0", "1.0"], {}, {"0.0": 0, "1.0": 1}),
    "true and false": (["true", "false"], {}, {"true": 1, "false": 0}),
    "True and False": (["True", "False"], {}, {"True": 1, "False": 0}),
    "-1 and 1": ([-1, 1], {"positive": "> 0"}, {"-1": 0, "1": 1}),
    "yes and no": (["yes", "no"], {"positive": "yes"}, {"yes": 1, "no": 0}),
    "Y and N": (["Y", "N"], {"positive": "Y"}, {"Y": 1, "N": 0}),
    "T and F": (["T", "F"], {"positive": "T"}, {"T": 1, "F": 0}),
    "clicked and not": (["clicked", "not clicked"], {"positive": "clicked"}, {"clicked": 1, "not clicked": 0}),
    "click and impression": (["click", "impression"], {"positive": "click"}, {"click": 1, "impression": 0}),
    "soft": (["0.25", "0.5", "1"], {"soft_label": True}, {"0.25": 0.25, "0.5": 0.5, "1": 1}),
}


@pytest.mark.parametrize("case", PLAIN)
def test_labels_that_are_plain(case: str, tmp_path: Path) -> None:
    values, said, meaning = PLAIN[case]
    cells = choices(values)
    path = written(tmp_path, {"label": cells})
    schema = draft_schema(path).schema
    assert {name: getattr(schema, name) for name in ("positive", "impressions", "soft_label")} == {
        "positive": None,
        "impressions": None,
        "soft_label": False,
        **said,
    }
    np.testing.assert_allclose(read_labels(path, schema), [meaning[str(cell)] for cell in cells])


ASKED: dict[str, tuple[dict[str, Sequence[Any]], str]] = {
    "stars": ({"rating": choices([1, 2, 3, 4, 5])}, "--label rating --positive '>= 4'"),
    "half stars": ({"rating": choices([0.5, 1, 3, 4.5, 5])}, "--label rating --positive '>= 4'"),
    "of ten": ({"score": choices(range(1, 11))}, "--label score --positive '>= 8'"),
    "a probability that is called a score": ({"score": choices([0.25, 0.5, 1])}, "--label score --positive '>= 0.5'"),
    "counts": ({"clicks": choices([0, 1, 2, 3])}, "--label clicks --positive '>= 1'"),
    "three texts": ({"label": choices(["good", "bad", "yes"])}, "--label label --positive yes"),
    "two texts": ({"label": choices(["won", "lost"])}, "--label label --positive "),
    "1 and 2": ({"label": choices([1, 2])}, "--label label --positive '>= 2'"),
}


@pytest.mark.parametrize("case", ASKED)
def test_labels_that_can_be_read_in_several_ways(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns, options = ASKED[case]
    path = written(tmp_path, columns)
    with pytest.raises(ValueError, match="rows.csv: column") as error:
        draft_schema(path)
    line = str(error.value).splitlines()[-1].strip()
    assert options in line
    # The line works as it stands.
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "pipelines.schema"]
    assert command.main(words[3:]) == 0
    assert "a click is" in capsys.readouterr().out


def test_ratings_with_a_threshold(tmp_path: Path) -> None:
    cells = choices([1, 2, 3, 4, 5])
    path = written(tmp_path, {"rating": cells})
    schema = draft_schema(path, positive=">= 4").schema
    assert (schema.label, schema.positive) == ("rating", ">= 4")
    np.testing.assert_array_equal(read_labels(path, schema), np.array(cells) >= 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positive": "=> 4"}, "Unknown value of column 'label' for a click: '=> 4'"),
        ({"positive": "yess"}, "Did you mean 'yes'"),
        ({"positive": ">= 4"}, "compares with a number, and column 'label' holds 'no', 'yes'"),
        ({"positive": ">= four"}, "positive must compare with a number"),
        ({"label": "lable"}, "Did you mean 'label'"),
        ({"impressions": "shown"}, "Unknown column for impressions: 'shown'"),
        ({"impressions": "topic"}, "clicks and impressions must be whole numbers"),
        ({"label": "topic"}, "say which text is a click"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, str], message: str, tmp_path: Path) -> None:
    path = written(tmp_path, {"label": ["yes"] * 200 + ["no"] * 400})
    with pytest.raises(ValueError, match=message):
        draft_schema(path, **options)


def test_clicks_with_impressions(tmp_path: Path) -> None:
    shown = choices(range(1, 30))
    clicks = [random.Random(i).randint(0, count) for i, count in enumerate(shown)]
    path = written(tmp_path, {"clicks": clicks, "impressions": shown})
    draft = draft_schema(path)
    assert (draft.schema.label, draft.schema.impressions) == ("clicks", "impressions")
    kinds = {entry.name: entry.kind for entry in draft.columns}
    assert kinds == {"clicks": "label", "impressions": "impressions", "topic": "categorical"}
    assert f"clicks out of {sum(shown):,} impressions in column 'impressions'" in draft.columns[0].reason
    path = written(tmp_path, {"n": clicks, "m": shown})
    schema = draft_schema(path, label="n", impressions="m").schema
    assert (schema.label, schema.impressions) == ("n", "m")
    with pytest.raises(ValueError, match="rows have more clicks .column 'm'. than impressions .column 'n'"):
        draft_schema(path, label="m", impressions="n")


def test_views_of_an_item_are_no_impressions_of_a_row(tmp_path: Path) -> None:
    path = written(tmp_path, {"click": choices([0, 1]), "views": choices(range(5, 4000), 1)})
    draft = draft_schema(path)
    assert draft.schema.impressions is None and draft.schema.feature("views").kind == "numeric"


def test_a_label_is_found_by_its_name(tmp_path: Path) -> None:
    flags = {name: choices([0, 1], seed) for seed, name in enumerate(["bought", "isClick", "won"])}
    draft = draft_schema(written(tmp_path, flags))
    assert draft.schema.label == "isClick"
    draft = draft_schema(written(tmp_path, {"won": flags["won"], "bought": flags["bought"]}))
    assert draft.schema.label == "bought"
    with pytest.raises(ValueError, match="columns of two values that could be one: 'won'") as error:
        draft_schema(written(tmp_path, {"won": flags["won"]}))
    assert str(error.value).endswith("--label won")


def test_what_counts_as_a_click_is_said(tmp_path: Path) -> None:
    cells = ["yes", "Yes", "no", "no"] * 150
    draft = draft_schema(written(tmp_path, {"label": cells}), positive="yes")
    assert "a click is 'yes', no click is 'Yes', 'no'; 25.00% clicks" in draft.columns[0].reason
    draft = draft_schema(written(tmp_path, {"label": ["yes ", "yes", "no", " no"] * 150}))
    assert draft.schema.positive == "yes" and "50.00% clicks" in draft.columns[0].reason


def test_empty_label_cells_are_said(tmp_path: Path) -> None:
    draft = draft_schema(written(tmp_path, {"click": choices(["", "", 0, 1])}))
    assert "OF THE ROWS HAVE NO LABEL: write what an empty one means" in draft.columns[0].reason
    draft = draft_schema(written(tmp_path, {"click": ["", *choices([0, 1])[1:]]}))
    assert "0.2% OF THE ROWS HAVE NO LABEL" in draft.columns[0].reason
    with pytest.raises(ValueError, match="If an empty cell means no click, write 0 there"):
        draft_schema(written(tmp_path, {"click": choices(["", 1])}))
    with pytest.raises(ValueError, match="no click in every row"):
        draft_schema(written(tmp_path, {"click": [0] * ROWS}))


def test_more_rows_are_advised_where_there_are_more(tmp_path: Path) -> None:
    path = written(tmp_path, {"click": [0] * (ROWS - 1) + [1]})
    with pytest.raises(ValueError, match=r"no click in every row.*look at more rows \(--rows\)"):
        draft_schema(path, max_rows=ROWS - 1)
    assert draft_schema(path, max_rows=ROWS).schema.label == "click"
    for columns, options in (
        ({"click": [0] * ROWS}, {}),
        ({"rating": choices([1, 2, 3])}, {"positive": ">= 4"}),
        ({"clicks": [0] * ROWS, "impressions": choices([2, 3])}, {}),
        ({"clicks": [3] * ROWS, "impressions": [3] * ROWS}, {}),
    ):
        path = written(tmp_path, columns)
        with pytest.raises(ValueError, match="in every row. These are all rows of the file: give another") as error:
            draft_schema(path, max_rows=ROWS, **options)
        assert str(path) in str(error.value) and "--rows" not in str(error.value)


# Leaks


def test_weighted_auc_is_the_share_of_pairs_in_order() -> None:
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 5, 40).astype(float)
    clicks, others = generator.random(40), generator.random(40)
    wins = sum(
        clicks[i] * others[j] * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
        for i in range(40)
        for j in range(40)
    )
    assert weighted_auc(scores, clicks, others) == pytest.approx(wins / (clicks.sum() * others.sum()))


LABELS = choices([0, 1], 5)
NOISE = np.random.default_rng(1).random(ROWS)
LEAKS: dict[str, Sequence[Any]] = {
    "a number": [2.0 * y + e for y, e in zip(LABELS, NOISE, strict=True)],
    "a falling number": [-2.0 * y + e for y, e in zip(LABELS, NOISE, strict=True)],
    "a category": [f"{'yes' if y else 'no'}{e:.1f}" for y, e in zip(LABELS, NOISE, strict=True)],
    "whole numbers": [int(10 * e) + 10 * y for y, e in zip(LABELS, NOISE, strict=True)],
    "the label again": LABELS,
    "where a value is": [f"{e:.1f}" if y else "" for y, e in zip(LABELS, NOISE, strict=True)],
    "the length of lists": ["a|b|c|a" if y else "a|b" for y in LABELS],
    "an element of lists": [
        ("a|bought" if y else "a|c") + ("|b" if e > 0.5 else "") for y, e in zip(LABELS, NOISE, strict=True)
    ],
}


@pytest.mark.parametrize("case", LEAKS)
def test_columns_made_from_the_label_are_left_out(case: str, tmp_path: Path) -> None:
    draft = draft_schema(written(tmp_path, {"click": LABELS, "c": LEAKS[case]}))
    entry = draft.columns[1]
    assert entry.kind == "left out" and entry.auc is not None and entry.auc >= 0.98, entry
    assert f"ITS OWN AUC AGAINST THE LABEL IS {entry.auc:.4f}" in entry.reason


HONEST: dict[str, tuple[Sequence[Any], float, float]] = {
    "noise": (NOISE.tolist(), 0.45, 0.58),
    "user ids of two rows each": ([f"u{i}" for i in random.Random(0).sample(range(300), 300) * 2], 0.5, 0.62),
    "a good number": ([y + 2 * e for y, e in zip(LABELS, NOISE, strict=True)], 0.8, 0.95),
    "a constant number of tags": (choices(["a|b", "b|c", "a|c"], 8), 0.5, 0.58),
}


@pytest.mark.parametrize("case", HONEST)
def test_columns_known_before_the_click_stay(case: str, tmp_path: Path) -> None:
    cells, low, high = HONEST[case]
    entry = draft_schema(written(tmp_path, {"click": LABELS, "user_x": cells})).columns[1]
    assert entry.kind != "left out" and entry.auc is not None and low <= entry.auc <= high, entry


def test_the_seed_of_the_rows_is_no_matter(tmp_path: Path) -> None:
    for seed in range(3):
        users = np.random.default_rng(seed).integers(0, 20, ROWS)
        cells = {"click": (users % 2).tolist(), "user_x": [f"u{user}" for user in users]}
        assert draft_schema(written(tmp_path, cells)).columns[1].auc == 1.0, seed


def test_the_auc_of_a_number_is_exact(tmp_path: Path) -> None:
    numbers = np.array([y + 2 * e for y, e in zip(LABELS, NOISE, strict=True)])
    entry = draft_schema(written(tmp_path, {"click": LABELS, "c": numbers.tolist()})).columns[1]
    y = np.array(LABELS)
    wins = (numbers[y == 1][:, None] > numbers[y == 0]).mean()
    assert entry.auc == pytest.approx(wins)


@pytest.mark.parametrize(
    "name",
    ["conversion", "is_buy", "purchase", "play_time_ms", "watch_time", "long_view", "is_like", "follow", "comment"]
    + ["dwell", "dwellTime", "stay_duration", "add_to_cart", "converted", "clicks", "payprice"],
)
def test_names_of_what_happens_after_the_impression(name: str, tmp_path: Path) -> None:
    entry = draft_schema(written(tmp_path, {"click": LABELS, name: choices([0, 1, 2], 3)})).columns[1]
    assert entry.kind == "left out" and "something after the impression" in entry.reason
    assert f"its own AUC is {entry.auc:.4f}" in entry.reason and entry.auc < 0.6


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("label", ["premium", "basic", "new"], "categorical"),
        ("weight", ["light", "heavy"], "categorical"),
        ("group", [1, 2, 3], "categorical"),
        ("scenario", ["a", "b"], "categorical"),
        ("fields", ["a|b", "b|c|a", "c"], "multi_valued"),
        ("split", [0, 1], "categorical"),
        ("rating", [4.5, 3.5, 4.0], "numeric"),
        ("label", [0, 1], "left out"),
        ("target", [0, 1], "left out"),
    ],
)
def test_columns_that_are_called_like_parts_of_a_batch(
    name: str, values: Sequence[Any], kind: str, tmp_path: Path
) -> None:
    entry = draft_schema(written(tmp_path, {"click": LABELS, name: choices(values, 3)})).columns[1]
    assert entry.kind == kind, entry


@pytest.mark.parametrize("name", ["follow_user_num", "item_like_count", "user_click_rate", "last_purchase_days"])
def test_statistics_of_the_past_stay(name: str, tmp_path: Path) -> None:
    entry = draft_schema(written(tmp_path, {"click": LABELS, name: choices(range(40), 3)})).columns[1]
    assert entry.kind in ("numeric", "categorical")


def test_a_few_rows_cannot_tell_a_leak(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("price,click\n" + "1.5,1\n2.5,0\n" * 15)
    entry = draft_schema(path).columns[0]
    assert entry.kind == "numeric" and entry.auc is None


def test_leaks_of_soft_labels_and_of_clicks_among_impressions(tmp_path: Path) -> None:
    soft = [round(0.01 if e < 0.5 else 0.995, 3) for e in NOISE]
    entries = draft_schema(written(tmp_path, {"label": soft, "c": [bool(e > 0.5) for e in NOISE]})).columns
    assert entries[1].kind == "left out" and "AUC" in entries[1].reason
    shown = choices(range(1, 9))
    clicks = [count if y else 0 for count, y in zip(shown, LABELS, strict=True)]
    columns = {"clicks": clicks, "impressions": shown, "c": [f"v{y}" for y in LABELS]}
    entries = draft_schema(written(tmp_path, columns)).columns
    assert entries[2].kind == "left out" and entries[2].auc == pytest.approx(1.0)


def test_leaks_of_parquet_lists(tmp_path: Path) -> None:
    lists = [["a", "b"] if y else ["a", "c"] for y in LABELS]
    pq.write_table(pa.table({"click": LABELS, "c": lists, "d": choices(["x", "y"])}), tmp_path / "rows.parquet")
    entry = draft_schema(tmp_path / "rows.parquet").columns[1]
    assert entry.kind == "left out" and entry.auc == 1.0
