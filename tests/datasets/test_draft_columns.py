"""What drafted schemas make of the columns that people have: one small file each."""

from __future__ import annotations

import csv
import decimal
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dynctr_tf.datasets import TabularFile, draft_schema
from dynctr_tf.datasets.draft_columns import Column
from dynctr_tf.datasets.draft_schema import DraftedColumn, SchemaDraft

ROWS = 400
TOPICS = ["news", "food", "sport", "music", "travel", "tech"]
IDS = [str(value) for value in range(300)]


def clicks(seed: int = 7) -> list[int]:
    return np.random.default_rng(seed).integers(0, 2, ROWS).tolist()


def csv_draft(folder: Path, columns: dict[str, Sequence[Any]], **options: Any) -> SchemaDraft:
    """Drafts a schema for a CSV file of some columns and a label that has nothing to do with them."""
    columns = {"click": clicks(), **columns}
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return draft_schema(folder / "rows.csv", **options)


def parquet_draft(folder: Path, columns: dict[str, Any]) -> SchemaDraft:
    table = pa.table({"click": clicks(), **columns})
    pq.write_table(table, folder / "rows.parquet")
    return draft_schema(folder / "rows.parquet")


def entry_of(draft: SchemaDraft, name: str = "c") -> DraftedColumn:
    return next(entry for entry in draft.columns if entry.name == name)


def made(make: Callable[[random.Random], str], seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    return [make(generator) for _ in range(ROWS)]


def sample_of(mark: str, pool: Sequence[str] = TOPICS, low: int = 1, high: int = 4) -> Callable[[random.Random], str]:
    return lambda generator: mark.join(generator.sample(list(pool), generator.randint(low, high)))


LISTS: dict[str, tuple[Callable[[random.Random], str], str]] = {
    "bar": (sample_of("|"), "|"),
    "semicolon": (sample_of(";"), ";"),
    "comma": (sample_of(","), ","),
    "comma and blank": (sample_of(", "), ","),
    "hash": (sample_of("#"), "#"),
    "caret": (sample_of("^"), "^"),
    "control A": (sample_of("\x01"), "\x01"),
    "tab": (sample_of("\t"), "\t"),
    "blank": (sample_of(" "), " "),
    "sorted words": (lambda g: ",".join(sorted(g.sample(TOPICS, g.randint(2, 4)))), ","),
    "ids and blanks": (sample_of(" ", IDS, 1, 9), " "),
    "ids and commas": (sample_of(",", IDS, 1, 9), ","),
    "ids of three digits": (sample_of(",", IDS[100:], 1, 4), ","),
    "ids of a large catalogue": (lambda g: "|".join(f"i{g.randrange(10**6)}" for _ in range(g.randint(1, 4))), "|"),
    "always three": (sample_of("|", TOPICS, 3, 3), "|"),
    "histories of one length": (sample_of(" ", IDS[:60], 5, 5), " "),
    "few cells of several": (lambda g: sample_of("|")(g) if g.random() < 0.1 else g.choice(TOPICS), "|"),
    "values with blanks": (sample_of(", ", ["rock music", "hip hop", "jazz", "new age"], 1, 3), ","),
    "values with apostrophes": (sample_of("|", ["Children's", "Film-Noir", "Sci-Fi", "Action"], 1, 3), "|"),
}


@pytest.mark.parametrize("case", LISTS)
def test_separators_are_recognised(case: str, tmp_path: Path) -> None:
    make, separator = LISTS[case]
    draft = csv_draft(tmp_path, {"c": made(make)})
    entry = entry_of(draft)
    assert entry.kind == "multi_valued", entry
    feature = draft.schema.feature("c")
    assert (feature.separator, feature.list_format) == (separator, "separated")
    assert repr(separator) in entry.reason


def listed(generator: random.Random, low: int = 0) -> list[str]:
    return generator.sample(["news", "it's", "a, b", 'say "x"', "类目"], generator.randint(low, 3))


@pytest.mark.parametrize("mark", ["|", ";", ",", "^", "#", "\x01", "\t", " "])
@pytest.mark.parametrize("pool", [["a", "b", "c"], TOPICS[:4], IDS], ids=["letters", "words", "numbers"])
def test_small_files_are_enough(mark: str, pool: list[str], tmp_path: Path) -> None:
    generator = random.Random(1)
    cells = [sample_of(mark, pool, 0, 3)(generator) for _ in range(60)]
    path = tmp_path / "small.parquet"
    pq.write_table(pa.table({"click": clicks()[:60], "c": cells}), path)
    draft = draft_schema(path)
    assert draft.schema.feature("c").separator == mark and entry_of(draft).kind == "multi_valued"


BRACKETS: dict[str, Callable[[random.Random], str]] = {
    "JSON": lambda g: json.dumps(listed(g)),
    "JSON of letters": lambda g: json.dumps(listed(g), ensure_ascii=False),
    "Python": lambda g: str(listed(g)),
    "tuples": lambda g: str(tuple(listed(g, 1))),
    "numbers": lambda g: str([g.randrange(300) for _ in range(g.randint(0, 3))]),
    "large numbers": lambda g: str([2**60 + g.randrange(300) for _ in range(g.randint(1, 3))]),
    "NumPy": lambda g: str(np.array([g.randrange(300) for _ in range(g.randint(1, 3))])),
    "with nothing in between": lambda g: str(listed(g)) if g.random() > 0.02 else "nan",
}


@pytest.mark.parametrize("case", BRACKETS)
def test_lists_that_went_through_csv(case: str, tmp_path: Path) -> None:
    draft = csv_draft(tmp_path, {"c": made(BRACKETS[case])})
    feature = draft.schema.feature("c")
    assert (feature.kind, feature.list_format) == ("multi_valued", "brackets")
    assert "lists in brackets" in entry_of(draft).reason
    batches = TabularFile(tmp_path / "rows.csv", draft.schema).batches()
    values = {value for batch in batches for cell in batch.columns["c"].to_pylist() for value in cell or ()}
    assert len(values) == entry_of(draft).distinct > 4
    assert not any(value.startswith("[") or value.endswith("]") for value in values)


BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS {}_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile"
FIRST = ["James", "Mary", "John", "Anna", "Maria", "Paul", "Jean", "Martin", "Peter", "Linda"]
LAST = ["Smith", "Jones", "Brown", "Martin", "Paul", "Miller", "Davis", "Lopez"]
WORDS = [
    "cheap",
    "red",
    "blue",
    "shoes",
    "for",
    "men",
    "women",
    "kids",
    "running",
    "of",
    "best",
    "price",
    "buy",
    "now",
    "online",
    "free",
]
NO_LISTS: dict[str, Callable[[random.Random], str]] = {
    "browsers": lambda g: g.choice([BROWSER, PHONE]).format(g.randint(60, 80)),
    "names": lambda g: f"{g.choice(FIRST)} {g.choice(LAST)}",
    "last name first": lambda g: f"{g.choice(LAST)}, {g.choice(FIRST)}",
    "sentences": lambda g: "The " + " ".join(g.choice(WORDS) for _ in range(g.randint(2, 3))) + ".",
    "cities": lambda g: g.choice(["New York", "San Francisco", "San Diego", "New Orleans", "Boston", "Park City"]),
    "places": lambda g: g.choice(["Paris, France", "Lyon, France", "Bonn, Germany", "Rome, Italy"]),
    "ranges": lambda g: g.choice(["1,000,000 - 5,000,000", "500,000 - 1,000,000", "1 - 5", "50 - 100"]),
    "ages": lambda g: g.choice(["18 - 24", "25 - 34", "35 - 44", "65 +"]),
    "postcodes": lambda g: f"{g.choice(['SW1A', 'E1', 'N7'])} {g.randint(1, 9)}{g.choice('ABC')}A",
    "titles": lambda g: g.choice(["Matrix, The (1999)", "Toy Story (1995)", "Good, the Bad and the Ugly, The (1966)"]),
    "jobs": lambda g: g.choice(["Data Engineer", "Senior Data Engineer", "Engineer", "Data Scientist", "Scientist"]),
    "kinds": lambda g: g.choice(["News & Magazines", "Books & Reference", "Health & Fitness", "Social"]),
    "phones": lambda g: g.choice(["iPhone 12", "iPhone 13", "Galaxy S9", "Galaxy S10", "Pixel 7", "iPad Air 2"]),
    "colours": lambda g: g.choice(["#ff0000", "#00ff00", "#123456"]),
    "addresses": lambda g: f"{g.randint(1, 9)} {g.choice(['Main', 'Oak'])} St, {g.choice(['NY', 'LA'])}",
    "pages": lambda g: f"http://example.com/?x={g.randint(1, 9)};y=2,{g.randint(1, 9)}",
    "one word": lambda g: g.choice(TOPICS),
}


@pytest.mark.parametrize("case", NO_LISTS)
def test_what_only_looks_like_lists_is_one_category(case: str, tmp_path: Path) -> None:
    draft = csv_draft(tmp_path, {"c": made(NO_LISTS[case])})
    entry = entry_of(draft)
    assert entry.kind == "categorical", entry


def test_what_is_left_as_one_category_per_combination_is_said(tmp_path: Path) -> None:
    reason = entry_of(csv_draft(tmp_path, {"c": made(NO_LISTS["places"])})).reason
    assert "one category per combination: 100% of the cells contain ','" in reason
    assert "multi_valued" in reason
    assert "combination" not in entry_of(csv_draft(tmp_path, {"c": made(NO_LISTS["one word"])})).reason


AMOUNTS: dict[str, Callable[[random.Random], str]] = {
    "dollars": lambda g: f"${g.randint(100, 999_999):,}.50",
    "thousands": lambda g: f"{int(10 ** (g.random() * 6)):,}",
    "decimal commas": lambda g: f"{g.random() * 3000:.2f}".replace(".", ","),
    "euros": lambda g: f"{g.randint(1, 9999)},{g.randint(10, 99)} €",
    "percent": lambda g: f"{g.random() * 100:.2f}%",
}


@pytest.mark.parametrize("case", AMOUNTS)
def test_amounts_are_no_lists(case: str, tmp_path: Path) -> None:
    entry = entry_of(csv_draft(tmp_path, {"c": made(AMOUNTS[case]), "d": repeated(TOPICS)}))
    assert entry.kind == "left out" and "write plain numbers" in entry.reason


POINTS_IN_TIME: dict[str, Callable[[int], Any]] = {
    "2024-01-31 20:15:00": lambda i: f"2024-01-{1 + i % 28:02} {i % 24:02}:{i % 60:02}:00",
    "2024-01-31T20:15:00Z": lambda i: f"2024-01-{1 + i % 28:02}T{i % 24:02}:{i % 60:02}:00Z",
    "2024-01-31 20:15:00+01": lambda i: f"2024-01-{1 + i % 28:02} {i % 24:02}:{i % 60:02}:00+01",
    "2024/1/3 20:15": lambda i: f"2024/1/{1 + i % 28} {i % 24}:{i % 60:02}",
    "31.01.2024": lambda i: f"{1 + i % 28:02}.{1 + i % 12:02}.2024",
    "1/31/2024": lambda i: f"{1 + i % 12}/{1 + i % 28}/2024",
    "Jan 31, 2024": lambda i: f"{['Jan', 'Feb', 'Mar'][i % 3]} {1 + i % 28}, 2024",
    "31 Jan 2024": lambda i: f"{1 + i % 28} {['Jan', 'Feb', 'Mar'][i % 3]} 2024",
    "07-06 00:00": lambda i: f"07-{1 + i % 28:02} {i % 24:02}:00",
}


@pytest.mark.parametrize("case", POINTS_IN_TIME)
def test_texts_of_time_are_left_out(case: str, tmp_path: Path) -> None:
    entry = entry_of(csv_draft(tmp_path, {"c": [POINTS_IN_TIME[case](i) for i in range(ROWS)], "d": repeated(TOPICS)}))
    assert entry.kind == "left out" and "a point in time" in entry.reason, entry
    # What has the year in front can split the rows.
    assert ("--data.split_by time:c trains" in entry.reason) == case.startswith("2024"), entry


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp", lambda i: 1_700_000_000 + 97 * i),
        ("ts", lambda i: 1_700_000_000_123 + 97 * i),
        ("event_time", lambda i: 1_700_000_000_123_456 + 97 * i),
        ("hour", lambda i: 14_102_100 + i % 24),
        ("date", lambda i: 20_240_101 + i % 28),
        ("day", lambda i: 2_024_010_100 + i % 24),
        ("createdAt", lambda i: 20_240_101_201_500 + i % 60),
    ],
)
def test_numbers_of_time_are_left_out(name: str, value: Callable[[int], int], tmp_path: Path) -> None:
    random.seed(0)
    cells = random.sample([value(i) for i in range(ROWS)], ROWS)
    entry = entry_of(csv_draft(tmp_path, {name: cells, "d": repeated(TOPICS)}), name)
    assert entry.kind == "left out" and "a point in time" in entry.reason, entry
    assert f"--data.split_by time:{name} trains on the earlier rows" in entry.reason, entry


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("user", "categorical"),
        ("item", "categorical"),
        ("city", "categorical"),
        ("weekday", "categorical"),
        ("hour", "categorical"),
        ("month", "categorical"),
        ("gender", "categorical"),
        ("age_group", "categorical"),
        ("ageLevel", "categorical"),
        ("zip", "categorical"),
        ("campaign", "categorical"),
        ("C14", "categorical"),
        ("user_id_range", "categorical"),
        ("visits", "numeric"),
        ("user_age", "numeric"),
        ("follow_user_num", "numeric"),
        ("num_items", "numeric"),
        ("item_id_count", "numeric"),
        ("item_price", "numeric"),
        ("I3", "numeric"),
        ("register_days", "numeric"),
    ],
)
def test_whole_numbers_by_their_names(name: str, kind: str, tmp_path: Path) -> None:
    # As in files whose ids are counted over all columns: 150 values from 800 on.
    cells = np.random.default_rng(0).integers(800, 950, ROWS).tolist()
    entry = entry_of(csv_draft(tmp_path, {name: cells}), name)
    assert entry.kind == kind, entry


@pytest.mark.parametrize(
    ("name", "low", "high", "kind", "binning"),
    [
        ("cost", 5058, 5060, "categorical", None),  # two values among many rows
        ("price", 1500, 1900, "numeric", "quantile"),  # all of them one bin of log_squared
        ("build_year_num", 1900, 2026, "numeric", "quantile"),
        ("visits", 0, 200_000, "numeric", "log_squared"),
    ],
)
def test_bins_tell_numbers_apart(
    name: str, low: int, high: int, kind: str, binning: str | None, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    cells = generator.integers(low, high, ROWS)
    if binning == "log_squared":
        cells = np.exp(generator.uniform(0, np.log(high), ROWS)).astype(int)
    draft = csv_draft(tmp_path, {name: cells.tolist()})
    entry = entry_of(draft, name)
    assert entry.kind == kind, entry
    if binning is not None:
        assert draft.schema.feature(name).binning == binning, entry


MARKS = ["NULL", "\\N", "nan", "NaN", "None", "N/A", "NA", "-", "?", "null", "<NA>", "inf", "unknown"]


@pytest.mark.parametrize("mark", MARKS)
def test_missing_marks_among_numbers(mark: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    cells = [mark if i == 5 else f"{generator.random() * 9:.3f}" for i in range(ROWS)]
    draft = csv_draft(tmp_path, {"c": cells})
    entry = entry_of(draft)
    assert entry.kind == "numeric" and entry.missing == pytest.approx(1 / ROWS)
    assert draft.schema.missing_values == ("", mark) and f"missing where {mark!r}" in entry.reason


@pytest.mark.parametrize(
    ("mark", "share", "is_missing"),
    [
        ("NULL", 0.1, True),
        ("\\N", 0.1, True),
        ("nan", 0.1, True),
        ("-", 0.2, True),
        ("-", 0.01, False),
        ("x", 0.3, False),
    ],
)
def test_missing_marks_among_texts(mark: str, share: float, is_missing: bool, tmp_path: Path) -> None:
    cells = [mark if i < share * ROWS else TOPICS[i % 6] for i in range(ROWS)]
    draft = csv_draft(tmp_path, {"c": cells})
    assert (mark in draft.schema.missing_values) == is_missing
    assert (entry_of(draft).missing > 0) == is_missing


def test_a_country_called_na_stays(tmp_path: Path) -> None:
    draft = csv_draft(tmp_path, {"c": [["NA", "DE", "US", "FR"][i % 4] for i in range(ROWS)]})
    assert draft.schema.missing_values == ("",) and entry_of(draft).distinct == 4


def test_missing_values_that_are_given_stand_in_the_schema(tmp_path: Path) -> None:
    cells = ["void" if i % 5 == 0 else i % 40 / 8 for i in range(ROWS)]
    draft = csv_draft(tmp_path, {"c": cells}, missing_values=("", "void"))
    assert draft.schema.missing_values == ("", "void") and entry_of(draft).kind == "numeric"


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "Unnamed: 0.1", "__index_level_0__", "level_0"])
def test_the_index_of_pandas_is_left_out(name: str, tmp_path: Path) -> None:
    for number, cells in enumerate((list(range(ROWS)), random.Random(0).sample(range(5 * ROWS), ROWS))):
        (tmp_path / str(number)).mkdir()
        entry = entry_of(csv_draft(tmp_path / str(number), {name: cells, "c": repeated(TOPICS)}), name)
        assert entry.kind == "left out" and "pandas' index" in entry.reason


@pytest.mark.parametrize(
    ("name", "make", "kind", "reason"),
    [
        ("x", lambda g: f"{g.randrange(3000):05}", "categorical", "digits that start with 0"),
        ("x", lambda g: str(2**60 + g.randrange(300)), "categorical", "too large to be counts"),
        ("ts", lambda g: f"{1_700_000_000 + g.random() * 1e6:.3f}", "left out", "a point in time"),
        ("ad_title", lambda g: f"t{g.randrange(10**9)}", "categorical", "another value in nearly every row looked at"),
    ],
)
def test_numbers_that_count_nothing(
    name: str, make: Callable[[random.Random], str], kind: str, reason: str, tmp_path: Path
) -> None:
    entry = entry_of(csv_draft(tmp_path, {name: made(make), "d": repeated(TOPICS)}), name)
    assert entry.kind == kind and reason in entry.reason, entry


def test_a_column_that_counts_rows_is_left_out(tmp_path: Path) -> None:
    draft = csv_draft(tmp_path, {"user_nr": range(1, ROWS + 1), "c": repeated(TOPICS)})
    assert entry_of(draft, "user_nr").reason == "numbers the rows, one after the other"


def repeated(values: list[Any]) -> list[Any]:
    """As many cells as there are rows, in an order that has nothing to do with the label."""
    cells = [values[i % len(values)] for i in range(ROWS)]
    random.Random(3).shuffle(cells)
    return cells


TEXTS = repeated(["a", "b", None, "c"])
TEXT_LISTS = repeated([["a", "b"], ["a"], [], None, ["b", None]])
NUMBER_LISTS = repeated([[1, 2], [3, 4], None, [2, 2]])
PARQUET: dict[str, tuple[str, Any, str]] = {
    "int64 above 2**53": ("user_id", pa.array(repeated([2**60, 2**60 + 1, 2**53 + 1]), pa.int64()), "categorical"),
    "uint64": ("user_id", pa.array(repeated([2**63 + 5, 2**64 - 1, 7]), pa.uint64()), "categorical"),
    "uint64 without a name": ("c", pa.array(repeated([2**63 + 5, 2**64 - 1, 7]), pa.uint64()), "categorical"),
    "int8": ("c", pa.array(repeated([1, 2, None]), pa.int8()), "categorical"),
    "bool": ("c", pa.array(repeated([True, False, None])), "categorical"),
    "float16": ("c", pa.array(np.linspace(0, 1, ROWS, dtype=np.float16)), "numeric"),
    "float32 of whole numbers": ("item_id", pa.array(repeated([1.0, 2.0, None]), pa.float32()), "categorical"),
    "NaN": ("c", pa.array([float("nan"), *np.random.default_rng(0).random(ROWS - 1)]), "numeric"),
    "decimal": (
        "price",
        pa.array([decimal.Decimal(i * 37 % 999) / 100 for i in range(ROWS)], pa.decimal128(10, 2)),
        "numeric",
    ),
    "decimal without fractions": (
        "item_id",
        pa.array(repeated([decimal.Decimal(10) ** 20, decimal.Decimal(3)]), pa.decimal128(30, 0)),
        "categorical",
    ),
    "string": ("c", pa.array(TEXTS), "categorical"),
    "large string": ("c", pa.array(TEXTS, pa.large_string()), "categorical"),
    "string view": ("c", pa.array(TEXTS, pa.string_view()), "categorical"),
    "dictionary": ("c", pa.array(TEXTS).dictionary_encode(), "categorical"),
    "dictionary of large strings": ("c", pa.array(TEXTS, pa.large_string()).dictionary_encode(), "categorical"),
    "binary": ("c", pa.array([None if t is None else t.encode() for t in TEXTS]), "categorical"),
    "list": ("c", pa.array(TEXT_LISTS, pa.list_(pa.string())), "multi_valued"),
    "large list of large strings": ("c", pa.array(TEXT_LISTS, pa.large_list(pa.large_string())), "multi_valued"),
    "list of string views": ("c", pa.array(TEXT_LISTS, pa.list_(pa.string_view())), "multi_valued"),
    "list of dictionaries": (
        "c",
        pa.array(TEXT_LISTS, pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        "multi_valued",
    ),
    "fixed-size list": ("c", pa.array(repeated([[1, 2], [3, 4]]), pa.list_(pa.int64(), 2)), "multi_valued"),
    "list of large integers": (
        "c",
        pa.array(repeated([[2**60], [2**60 + 1, 3]]), pa.list_(pa.int64())),
        "multi_valued",
    ),
    "history": ("hist_items", pa.array(NUMBER_LISTS, pa.list_(pa.int32())), "sequence"),
    "struct": ("c", pa.array(repeated([{"a": 1}, {"a": 2}])), "left out"),
    "map": ("c", pa.array(repeated([[("a", 1)], [("b", 2)]]), pa.map_(pa.string(), pa.int64())), "left out"),
    "list of lists": ("c", pa.array(repeated([[[1], [2]], [[3]]])), "left out"),
    "null": ("c", pa.nulls(ROWS), "left out"),
    "date": ("c", pa.array(range(ROWS), pa.date32()), "left out"),
    "time zone": ("c", pa.array(range(ROWS), pa.timestamp("us", "UTC")), "left out"),
    "embeddings": ("c", pa.array(np.random.default_rng(0).random((ROWS, 4)).tolist()), "left out"),
    "prices of several offers": ("c", pa.array(repeated([[9.99, 4.5], [4.5], [1.25]])), "multi_valued"),
    "duration": ("c", pa.array(range(ROWS), pa.duration("s")), "left out"),
}


@pytest.mark.parametrize("case", PARQUET)
def test_types_of_parquet(case: str, tmp_path: Path) -> None:
    name, values, kind = PARQUET[case]
    draft = parquet_draft(tmp_path, {name: values, "other": repeated(TOPICS)})
    entry = entry_of(draft, name)
    assert entry.kind == kind, entry
    if kind == "left out":
        assert entry.reason
    # What is drafted can be read.
    assert (
        sum(batch.columns.num_rows for batch in TabularFile(tmp_path / "rows.parquet", draft.schema).batches()) == ROWS
    )


@pytest.mark.parametrize("kind", [pa.list_(pa.int64(), 2), pa.list_view(pa.int64()), pa.large_list(pa.int8())])
def test_lists_that_are_null(kind: pa.DataType) -> None:
    # Not every pyarrow writes them to Parquet.
    column = Column("c", pa.chunked_array([pa.array([[1, 2], None, [2, None]], kind), pa.array([None], kind)]), ("",))
    assert column.missing == 0.5 and column.distinct == 2
    assert column.lengths is not None and column.lengths.tolist() == [2, 0, 2, 0]


def test_large_integers_keep_their_digits(tmp_path: Path) -> None:
    cells = np.random.default_rng(0).integers(0, 50, ROWS)
    draft = parquet_draft(tmp_path, {"user_id": pa.array((2**60 + cells).tolist(), pa.int64())})
    assert entry_of(draft, "user_id").distinct == len(set(cells.tolist()))
    draft = csv_draft(tmp_path, {"user_id": (2**60 + cells).tolist()})
    assert entry_of(draft, "user_id").distinct == len(set(cells.tolist()))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda g: f'{{"a": {g.randint(0, 9)}, "b": [1, 2]}}', "JSON objects"),
        (
            lambda g: f"[{{'id': {g.randint(0, 9)}, 'name': 'Drama'}}, {{'id': 3}}]" if g.random() > 0.1 else "[]",
            "objects",
        ),
        (lambda g: "|".join(f"{g.random():.4f}" for _ in range(3)), "fractional numbers"),
    ],
)
def test_cells_that_are_no_values_are_left_out(
    make: Callable[[random.Random], str], reason: str, tmp_path: Path
) -> None:
    entry = entry_of(csv_draft(tmp_path, {"c": made(make), "d": repeated(TOPICS)}))
    assert entry.kind == "left out" and reason in entry.reason


def test_infinite_numbers_are_said(tmp_path: Path) -> None:
    numbers = [float("inf"), *np.random.default_rng(0).random(ROWS - 1)]
    entry = entry_of(parquet_draft(tmp_path, {"c": numbers}))
    assert entry.kind == "numeric" and "HAS INFINITE NUMBERS" in entry.reason and "numbers from 0.00" in entry.reason
    entry = entry_of(csv_draft(tmp_path, {"c": ["1e400", *numbers[1:]]}))
    assert entry.kind == "numeric" and "HAS INFINITE NUMBERS" in entry.reason


def test_types_of_libraries_are_left_out_as_training_leaves_them(tmp_path: Path) -> None:
    values = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([i % 2 for i in range(ROWS)], pa.int8()))
    entry = entry_of(parquet_draft(tmp_path, {"c": values, "d": repeated(TOPICS)}))
    assert entry.kind == "left out" and "neither text nor number" in entry.reason


def test_a_history_alone_is_a_set(tmp_path: Path) -> None:
    draft = csv_draft(tmp_path, {"history": made(sample_of("|"))})
    assert draft.schema.feature("history").kind == "multi_valued"
    assert "sequence" in entry_of(draft, "history").reason


def test_a_column_without_a_name_is_left_out(tmp_path: Path) -> None:
    entry = entry_of(csv_draft(tmp_path, {"": repeated(TOPICS), "d": repeated(TOPICS)}), "")
    assert entry.kind == "left out" and "has no name" in entry.reason


def test_a_history_shares_the_items_ids(tmp_path: Path) -> None:
    history = made(sample_of(" ", IDS, 1, 9))
    draft = csv_draft(tmp_path, {"item_id": made(lambda g: g.choice(IDS)), "hist_item_ids": history})
    assert draft.schema.feature("hist_item_ids").shares_vocabulary_with == "item_id"


@pytest.mark.parametrize(
    "name", ["user id", "类目", "price(usd)", "café", "_x", "x:y", "class", "a-b", 'with "quotes"', "x" * 300, "a,b"]
)
def test_any_name_is_drafted_and_shown(name: str, tmp_path: Path) -> None:
    draft = csv_draft(tmp_path, {name: repeated(TOPICS)})
    assert draft.schema.feature(name).kind == "categorical"
    lines = draft.table().splitlines()
    assert len(lines) == 4 and len({line.index("categorical") for line in lines if "categorical" in line}) == 1
    assert max(map(len, lines)) < 200


ODD: list[Callable[[random.Random], str]] = [
    lambda g: str(g.randrange(5)),
    lambda g: str(10**18 + g.randrange(99)),
    lambda g: f"{g.random() * 10.0 ** g.randrange(-30, 30)}",
    lambda g: chr(g.randrange(32, 0x3000)),
    lambda g: str(1_700_000_000 + g.randrange(10**6)),
    lambda g: g.choice(["True", "False", ""]),
    lambda g: f"{g.randrange(9)}.0",
    lambda g: "".join(chr(g.randrange(32, 127)) for _ in range(g.randrange(9))),
]
MESSY = [*(make for make, _ in LISTS.values()), *NO_LISTS.values(), *AMOUNTS.values(), *BRACKETS.values(), *ODD]
HEADERS = [
    "user",
    "item",
    "price",
    "hist_items",
    "tags",
    "hour",
    "",
    "Unnamed: 0",
    "weight",
    "label",
    "scenario",
    "a b",
    "C1",
]


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_what_is_drafted_can_be_read(kind: str, tmp_path: Path) -> None:
    """Random files of messy columns: each is refused with a message, or every row is read with its draft."""
    read = 0
    for seed in range(25):
        generator = random.Random(f"{kind}{seed}")
        label = generator.choice([["0", "1"], ["yes", "no"], ["-1", "1"], ["True", "False"], ["0.1", "0.9", "0.5"]])
        columns = {"click": [generator.choice(label) for _ in range(60)]}
        for name in generator.sample(HEADERS, generator.randint(1, 6)):
            make, mark = generator.choice(MESSY), generator.choice([*MARKS, "", " ", "  NULL", "[]", "nan(1)"])
            share = generator.choice([0.0, 0.02, 0.3])
            columns[name] = [mark if generator.random() < share else make(generator) for _ in range(60)]
        path = tmp_path / f"{seed}.{kind}"
        rows = list(zip(*columns.values(), strict=True))
        if kind == "parquet":
            pq.write_table(pa.table(columns), path)
        elif kind == "jsonl":
            path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
        else:
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, delimiter=generator.choice(",;\t|")).writerows([tuple(columns), *rows])
        try:
            draft = draft_schema(path)
        except ValueError as error:
            assert "no column makes a feature" in str(error), (seed, error)
            continue
        source = TabularFile(path, draft.schema, **draft.options)
        assert sum(batch.columns.num_rows for batch in source.batches()) == 60, seed
        read += 1
    assert read > 12
