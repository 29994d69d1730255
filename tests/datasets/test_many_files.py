"""Many files of rows are one source: what they give, and what must not be in them."""

from __future__ import annotations

import bz2
import gzip
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from dynctr_tf.datasets.bad_rows import BadRowError
from dynctr_tf.datasets.draft_schema import draft_schema
from dynctr_tf.datasets.given_splits import GivenSplits
from dynctr_tf.datasets.row_pieces import Findings
from dynctr_tf.datasets.row_source import first_rows
from dynctr_tf.datasets.source_files import source_files
from dynctr_tf.datasets.splits import RandomSplit
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.schema import Feature, Schema

SCHEMA = Schema(
    (Feature("user", "categorical", role="user"), Feature("age", "numeric"), Feature("day", "categorical")),
    label="click",
)
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")


def lines(start: int, count: int = 40) -> str:
    rows = [f"u{row % 7},{row},{row % 3 == 0:d}" for row in range(start, start + count)]
    return "\n".join(["user,age,click", *rows]) + "\n"


def _zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKED: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".zst": _zstd}


def write_days(folder: Path) -> Path:
    """A file for each day, each packed in another way."""
    for place, (day, ending) in enumerate(zip(DAYS, PACKED, strict=True)):
        (folder / f"day={day}").mkdir(parents=True)
        (folder / f"day={day}" / f"part-0.csv{ending}").write_bytes(PACKED[ending](lines(40 * place).encode()))
    return folder


def table_of(source: TabularFile | GivenSplits) -> pa.Table:
    parts = [
        pa.Table.from_batches([batch.columns]).append_column("split", [batch.splits]) for batch in source.batches()
    ]
    return pa.concat_tables(parts)


def ages(table: pa.Table) -> list[float]:
    return table.column("age").to_pylist()


def test_the_folders_day_is_a_column_and_files_come_in_order(tmp_path: Path) -> None:
    rows = table_of(TabularFile(write_days(tmp_path), SCHEMA))
    assert ages(rows) == list(range(160))
    assert rows.column("day").to_pylist() == [day for day in DAYS for _ in range(40)]


def test_rows_of_parquet_and_json_lines_are_those_of_csv(tmp_path: Path) -> None:
    csv = table_of(TabularFile(write_days(tmp_path / "csv"), SCHEMA))
    for kind in ("parquet", "jsonl"):
        for place, day in enumerate(DAYS):
            folder = tmp_path / kind / f"day={day}"
            folder.mkdir(parents=True)
            some = csv.slice(40 * place, 40).drop_columns(["day", "split"])
            if kind == "parquet":
                pa.parquet.write_table(some, folder / "a.parquet", row_group_size=16)
            else:
                text = "".join(f"{row}\n".replace("'", '"') for row in some.to_pylist())
                (folder / "a.jsonl").write_text(text)
        assert table_of(TabularFile(tmp_path / kind, SCHEMA)).equals(csv), kind


def test_the_random_split_of_a_row_depends_on_its_file_and_its_number_there_alone(tmp_path: Path) -> None:
    write_days(tmp_path)
    split = table_of(TabularFile(tmp_path, SCHEMA, seed=3)).column("split").to_numpy()
    for place in range(4):
        own = RandomSplit(seed=3).assign(np.arange(40), stream=place)
        assert split[40 * place : 40 * place + 40].tolist() == own.tolist()
    fewer = table_of(TabularFile([tmp_path / f"day={day}" for day in DAYS[:2]], SCHEMA, seed=3))
    assert fewer.column("split").to_pylist() == split[:80].tolist()  # a day more moves no row
    one = TabularFile(tmp_path / f"day={DAYS[0]}" / "part-0.csv", SCHEMA, seed=3)
    assert table_of(one).column("split").to_pylist() == RandomSplit(seed=3).assign(np.arange(40)).tolist()


@pytest.mark.parametrize(
    ("split_by", "expected"),
    [
        ("order", [0] * 112 + [1] * 16 + [2] * 32),
        ("file", [0] * 80 + [1] * 40 + [2] * 40),
        ("partition", [0] * 80 + [1] * 40 + [2] * 40),
        ("partition:day", [0] * 80 + [1] * 40 + [2] * 40),
        ("time:day", [0] * 80 + [1] * 40 + [2] * 40),
        ("time:day@2024-01-02,2024-01-04", [0] * 40 + [1] * 80 + [2] * 40),
    ],
)
def test_splits_over_files(tmp_path: Path, split_by: str, expected: list[int]) -> None:
    source = TabularFile(write_days(tmp_path), SCHEMA, split_by=split_by)
    assert table_of(source).column("split").to_pylist() == expected


def test_a_user_is_in_one_split_over_all_files(tmp_path: Path) -> None:
    rows = table_of(TabularFile(write_days(tmp_path), SCHEMA, split_by="user:user"))
    assert rows.group_by("user").aggregate([("split", "count_distinct")]).column(1).to_pylist() == [1] * 7


def test_rows_without_a_user_are_not_split_by_their_number_in_the_file_alone(tmp_path: Path) -> None:
    for place in range(40):
        (tmp_path / f"{place:02}.csv").write_text(f"user,age,click\n,{place},1\n")
    rows = table_of(TabularFile(tmp_path, TWO, split_by="user:user"))
    assert set(rows.column("split").to_pylist()) == {0, 1, 2}


def test_splits_that_the_files_do_not_give(tmp_path: Path) -> None:
    write_days(tmp_path)
    with pytest.raises(ValueError, match=r"needs folders called region=...; those of the files give the columns"):
        TabularFile(tmp_path, SCHEMA, split_by="partition:region")
    some = [tmp_path / f"day={day}" for day in DAYS[:2]]
    with pytest.raises(ValueError, match=r"2 files cannot be cut into 3 splits"):
        TabularFile(some, SCHEMA, split_by="file")


def test_given_files_may_be_folders(tmp_path: Path) -> None:
    write_days(tmp_path)
    train, test = [tmp_path / f"day={day}" for day in DAYS[:3]], tmp_path / f"day={DAYS[3]}"
    rows = table_of(GivenSplits(train, SCHEMA, test_path=test, splits={"train": 1.0}))
    assert rows.column("split").to_pylist() == [0] * 120 + [1] * 40
    with pytest.raises(ValueError, match=r"One file is given for two splits: .*day=2024-01-04/part-0.csv.zst"):
        GivenSplits(tmp_path, SCHEMA, test_path=test)


def test_given_files_are_compared_by_the_column_of_their_folders(tmp_path: Path) -> None:
    write_days(tmp_path)
    schema = Schema(SCHEMA.features[:2], label="click")  # the day decides, and is no feature
    first, last = [tmp_path / f"day={day}" for day in DAYS[:3]], tmp_path / f"day={DAYS[3]}"
    rows = table_of(GivenSplits(first, schema, test_path=last, split_by="time:day"))
    assert rows.column("split").to_pylist() == [0] * 80 + [1] * 40 + [2] * 40
    with pytest.raises(ValueError, match=r"120 of 120 train rows have a time 'day' after the first test row"):
        table_of(
            GivenSplits([*first[1:], last], schema, test_path=first[0], splits={"train": 1.0}, split_by="time:day")
        )
    with pytest.raises(ValueError, match="'dya' that decides the split is not in the file. .* mean 'day'"):
        table_of(GivenSplits(first, schema, test_path=last, splits={"train": 1.0}, split_by="time:dya"))


def test_files_behind_a_uri_are_read_as_those_here(tmp_path: Path) -> None:
    write_days(tmp_path)
    here = table_of(TabularFile(tmp_path, SCHEMA))
    assert table_of(TabularFile(f"file://{tmp_path}", SCHEMA)).equals(here)
    fsspec = pytest.importorskip("fsspec")
    for path in tmp_path.rglob("*.csv*"):
        fsspec.filesystem("memory").pipe(f"/days/{path.relative_to(tmp_path)}", path.read_bytes())
    pa.parquet.write_table(here.drop_columns("split"), tmp_path / "all.parquet")
    fsspec.filesystem("memory").pipe("/all.parquet", (tmp_path / "all.parquet").read_bytes())
    assert table_of(TabularFile("memory://days", SCHEMA)).equals(here)
    whole = TabularFile("memory://all.parquet", SCHEMA)
    assert ages(table_of(whole)) == ages(here)
    noted = source_files(whole.files, tmp_path / "notes")
    assert noted[0].path == "memory://all.parquet" and noted[0].size == (tmp_path / "all.parquet").stat().st_size


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("split_by", ["random", "order", "time:age"])
def test_pieces_hold_the_rows_of_all_files_and_may_be_read_by_a_copy(
    tmp_path: Path, kind: str, split_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dynctr_tf.datasets.text_rows._BLOCK_BYTES", 100)
    monkeypatch.setattr("dynctr_tf.datasets.parquet_rows._BATCH_ROWS", 10)
    for place in range(3):
        text = lines(40 * place)
        if kind == "parquet":
            rows = pa.csv.read_csv(pa.BufferReader(text.encode()))
            pa.parquet.write_table(rows, tmp_path / f"{place}.parquet", row_group_size=7)
        elif kind == "csv":
            (tmp_path / f"{place}.csv").write_text(text.replace("\n", "\n\n", 5))
        else:
            cells = [line.split(",") for line in text.splitlines()[1:]]
            rows_of = [f'{{"user": "{user}", "age": {age}, "click": {click}}}' for user, age, click in cells]
            (tmp_path / f"{place}.jsonl").write_text("\n \n".join(rows_of) + "\n")
    schema = Schema(SCHEMA.features[:2], label="click", positive="1")
    source = TabularFile(tmp_path, schema, split_by=split_by)
    pieces = list(source.pieces())
    copy = pickle.loads(pickle.dumps(source))
    parts = []
    found = Findings()
    for piece in pickle.loads(pickle.dumps(pieces)):
        own = Findings()
        for batch in copy.read_piece(piece, own):
            parts.append(pa.Table.from_batches([batch.columns]).append_column("split", [batch.splits]))
        found.add(own)
    assert len(pieces) > 6
    assert pa.concat_tables(parts).equals(table_of(source))
    copy.finish(found)
    assert copy.num_rows == source.num_rows == 120


def test_of_many_files_small_ones_are_read_whole_and_large_ones_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dynctr_tf.datasets.text_rows._BLOCK_BYTES", 100)
    monkeypatch.setattr("dynctr_tf.datasets.tabular_file._WHOLE_BYTES", 200)
    for place in range(16):
        text = lines(40 * place)
        (tmp_path / f"{place:02}.csv").write_text(text if place == 3 else "\n".join(text.splitlines()[:11]) + "\n")
    source = TabularFile(tmp_path, Schema(SCHEMA.features[:2], label="click"))
    pieces = list(source.pieces())
    whole = [piece.part for piece in pieces if piece.block is None]
    assert whole == [part for part in range(16) if part != 3] and len(pieces) > 17
    assert all(
        piece.nbytes == (tmp_path / f"{piece.part:02}.csv").stat().st_size for piece in pieces if not piece.block
    )
    rows = [batch.columns for piece in pieces for batch in source.read_piece(piece, Findings())]
    assert pa.Table.from_batches(rows).equals(table_of(source).drop_columns(["split"]))


def write_three(folder: Path, third: str | bytes, name: str = "c.csv") -> Path:
    (folder / "a.csv").write_text(lines(0))
    (folder / "b.csv").write_text(lines(40))
    (folder / name).write_bytes(third if isinstance(third, bytes) else third.encode())
    return folder


TWO = Schema(SCHEMA.features[:2], label="click")


def parquet_of(columns: dict[str, list[object]]) -> bytes:
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("third", "name", "message"),
    [
        ("", "c.csv", r"c.csv: the file is empty. Delete it, or leave it out."),
        (
            "user,years,click\nanna,1,1\n",
            "c.csv",
            r"c.csv, line 1: the schema's column 'age' is not in the file.*a.csv, has",
        ),
        ("anna,1,1\nbert,2,0\n", "c.csv", r"c.csv, line 1: .*Each file needs its header; if only the first has one"),
        (
            parquet_of({"user": ["a"], "age": [1], "click": [1]}),
            "c.parquet",
            r"c.parquet: is a Parquet file, and .*a.csv is",
        ),
        ('{"user": "a", "age": 1, "click": 1}\n', "c.jsonl", r"c.jsonl: is JSON lines, and .*a.csv is delimited text"),
        (gzip.compress(lines(0, 9000).encode())[:-900], "c.csv.gz", r"c.csv.gz: cannot be read"),
        ("user,age,click\nanna,1,1\nbert,2", "c.csv", r"c.csv, line 3: the row has 2 columns, expected 3"),
    ],
)
def test_a_bad_part_is_named(tmp_path: Path, third: str | bytes, name: str, message: str) -> None:
    write_three(tmp_path, third, name)
    with pytest.raises(ValueError, match=message):
        list(TabularFile(tmp_path, TWO).batches())


def test_columns_of_parquet_files_are_alike(tmp_path: Path) -> None:
    first = parquet_of({"user": ["a"], "age": [1.5], "click": [1]})
    (tmp_path / "a.parquet").write_bytes(first)
    (tmp_path / "b.parquet").write_bytes(parquet_of({"user": ["a"], "age": [None], "click": [0]}))
    (tmp_path / "c.parquet").write_bytes(parquet_of({"user": ["a"], "age": [7], "click": [True]}))
    with pytest.raises(
        ValueError, match=r"c.parquet: its column 'click' holds truth values, and in .*a.parquet it holds n"
    ):
        TabularFile(tmp_path, TWO)
    (tmp_path / "c.parquet").write_bytes(parquet_of({"user": [7], "age": [7], "click": [1]}))
    with pytest.raises(
        ValueError, match=r"c.parquet: its column 'user' holds numbers, and in .*a.parquet it holds text"
    ):
        TabularFile(tmp_path, TWO)
    (tmp_path / "c.parquet").write_bytes(parquet_of({"user": ["b"], "age": [7], "click": [1]}))
    assert ages(table_of(TabularFile(tmp_path, TWO))) == [1.5, None, 7.0]
    (tmp_path / "c.parquet").write_bytes(first[:-20])
    with pytest.raises(ValueError, match=r"c.parquet: starts as a Parquet file but cannot be read as one"):
        TabularFile(tmp_path, TWO)


def test_a_part_that_appears_or_changes_while_rows_are_read_ends_the_reading(tmp_path: Path) -> None:
    source = TabularFile(write_three(tmp_path, lines(80)), TWO)
    assert len(list(source.batches())) == 3
    (tmp_path / "d.csv").write_text(lines(0))
    with pytest.raises(RuntimeError, match=r"d.csv appeared while the rows were read"):
        list(source.batches())
    (tmp_path / "d.csv").unlink()
    (tmp_path / "b.csv").write_text(lines(40, 50))
    with pytest.raises(RuntimeError, match=r"b.csv changed while the rows were read"):
        list(source.batches())


def test_bad_rows_of_all_files_are_counted_together_and_named_by_file(tmp_path: Path) -> None:
    write_three(tmp_path, lines(80) + "anna,x,1\n")
    (tmp_path / "b.csv").write_text(lines(40) + "anna,1\n")
    with pytest.raises(BadRowError, match=r"b.csv, line 42"):
        list(TabularFile(tmp_path, TWO).batches())
    source = TabularFile(tmp_path, TWO, on_bad_row="skip")
    assert len(table_of(source)) == 120
    assert source.skipped == {"too few columns": 1, "age is not a number": 1}


def test_what_all_files_together_lack_is_said_once(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("user,age,click\nanna,1,no\n")
    rule = Schema(TWO.features, label="click", positive="yes")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/a.csv and 1 more: no row's label 'click' is 'yes'")):
        list(TabularFile(tmp_path, rule).batches())
    (tmp_path / "b.csv").write_text("user,age,click\nanna,1,yes\n")
    assert len(table_of(TabularFile(tmp_path, rule))) == 2


def test_a_column_of_the_file_is_taken_before_that_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "a.csv").write_text("user,age,click,day\nanna,1,1,monday\n")
    assert table_of(TabularFile(tmp_path, SCHEMA)).column("day").to_pylist() == ["monday"]


def test_a_schema_is_drafted_from_files_of_all_days(tmp_path: Path) -> None:
    draft = draft_schema(write_days(tmp_path))
    found = {entry.name: (entry.kind, entry.distinct) for entry in draft.columns}
    assert draft.num_rows == 160 and found["day"][1] == 4 and found["click"][0] == "label"
    (tmp_path / "day=2024-01-02" / "part-1.csv").write_text("user,click\nanna,1\n")
    with pytest.raises(ValueError, match=r"part-1.csv: has no column 'age', which the first file, .*part-0.csv, has"):
        draft_schema(tmp_path)


def test_a_draft_of_files_whose_columns_of_lists_differ_in_type(tmp_path: Path) -> None:
    for place, tags in enumerate((["x", "y"], ["z"], "one", None)):
        rows = [{"user": f"u{row % 5}", "click": row % 2, "tags": tags} for row in range(30)]
        (tmp_path / f"{place}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {entry.name: (entry.kind, entry.distinct) for entry in draft_schema(tmp_path).columns}
    assert found["tags"] == ("multi_valued", 4)
    folder = tmp_path / "parquet"
    folder.mkdir()
    for place, kind in enumerate((pa.list_(pa.string()), pa.null(), pa.large_list(pa.string()), pa.list_(pa.null()))):
        tags = pa.array([None if pa.types.is_null(kind) else [] if place == 3 else ["x", "y"]] * 30, kind)
        columns = {"user": ["u1", "u2"] * 15, "click": [0, 1] * 15, "tags": tags}
        pa.parquet.write_table(pa.table(columns), folder / f"{place}.parquet")
    found = {entry.name: (entry.kind, entry.distinct) for entry in draft_schema(folder).columns}
    assert found["tags"] == ("multi_valued", 2)
    schema = Schema((Feature("user", "categorical"), Feature("tags", "multi_valued")), label="click")
    # A sample may reach over several files, such as the one of the test split that an export is compared on.
    rows = first_rows(TabularFile(folder, schema, splits={"train": 1.0}), "train", 100)
    expected = [["x", "y"]] * 30 + [None] * 30 + [["x", "y"]] * 30 + [[]] * 10
    assert rows.column("tags").to_pylist() == expected


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_file_that_goes_away_while_rows_are_read_is_named(tmp_path: Path, kind: str) -> None:
    rows = pa.table({"user": ["anna", "bert"] * 50, "click": [0.0, 1.0] * 50})
    for name in "ab":
        path = tmp_path / f"{name}.{kind}"
        if kind == "parquet":
            pyarrow.parquet.write_table(rows, path)
        else:
            text = ["user,click"] * (kind == "csv")
            text += [f"{row['user']},{row['click']}" if kind == "csv" else json.dumps(row) for row in rows.to_pylist()]
            path.write_text("\n".join(text) + "\n")
    source = TabularFile(tmp_path, Schema((Feature("user", "categorical"),), label="click"))
    path.unlink()
    with pytest.raises(RuntimeError, match=rf"b.{kind} went away while the rows were read. Start again"):
        list(source.batches())


def test_a_draft_counts_bad_rows_among_all_that_it_has_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynctr_tf.datasets.text_rows._BLOCK_BYTES", 200)
    for name in "ab":
        rows = [f"u{row % 7},{row},{row % 3 == 0:d}" if row % 4 else "u1,2" for row in range(200)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["user,age,click", *rows]) + "\n")
    draft = draft_schema(tmp_path)  # a quarter of the rows is cut off, in each block of them
    assert draft.num_rows == 300
