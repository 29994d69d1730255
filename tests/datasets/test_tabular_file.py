"""CSV and Parquet files: right rows, right splits, and bad rows named by their place."""

import csv
import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dynctr_tf.datasets import BadRowError, TabularFile, parquet_rows, text_rows
from dynctr_tf.datasets.csv_blocks import Dialect
from dynctr_tf.datasets.splits import OrderSplit, RandomSplit
from dynctr_tf.schema import Feature, Schema

SCHEMA = Schema(
    (
        Feature("user", "categorical", role="user"),
        Feature("age", "numeric"),
        Feature("tags", "multi_valued"),
    ),
    label="click",
)
HEADER = "user,age,extra,tags,click\n"


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows, so that a hundred rows are many blocks."""
    monkeypatch.setattr(text_rows, "_BLOCK_BYTES", 256)


def rows_of(source):
    return [row for batch in source.batches() for row in batch.columns.to_pylist()]


def good_line(number):
    return f"u{number % 7},{number}.5,x,a|b,{number % 2}\n"


def write(path, text, compressed=False):
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if compressed else data)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_typed_columns(tmp_path, compressed, small_blocks):
    path = write(
        tmp_path / "rows.csv", HEADER + "anna, 31 ,x,a|b,1\nbert,,x,,0\n,-1e2,x,c,1.0\nnan,NaN,x,d,0\n", compressed
    )
    source = TabularFile(path, SCHEMA)
    assert source.num_rows is None
    (batch,) = source.batches()
    assert batch.columns.schema.names == ["click", "user", "age", "tags"]
    assert [str(kind) for kind in batch.columns.schema.types] == ["float", "string", "double", "string"]
    assert batch.columns.to_pydict() == {
        "click": [1.0, 0.0, 1.0, 0.0],
        "user": ["anna", "bert", None, "nan"],
        "age": [31.0, None, -100.0, None],
        "tags": ["a|b", None, "c", "d"],
    }
    assert source.num_rows == 4 and source.skipped == {}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last_line_end", [True, False])
def test_every_row_once_in_order_over_many_blocks(tmp_path, small_blocks, line_end, last_line_end):
    text = HEADER + "".join(good_line(i) for i in range(500))
    text = text.replace("\n", line_end)
    path = write(tmp_path / "rows.csv", text if last_line_end else text.removesuffix(line_end))
    assert [row["age"] for row in rows_of(TabularFile(path, SCHEMA))] == [i + 0.5 for i in range(500)]


def test_quoted_cells_agree_with_the_csv_module(tmp_path, small_blocks):
    generator = np.random.default_rng(0)
    pieces = ["a", ",", '"', "\n", "\r\n", " ", "é", '""', "bc"]
    cells = ["".join(generator.choice(pieces, generator.integers(0, 6))) for _ in range(400)]
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["user", "age", "tags", "click"])
    for number, cell in enumerate(cells):
        writer.writerow([cell, number, "t", number % 2])
    path = write(tmp_path / "rows.csv", written.getvalue())
    found = rows_of(TabularFile(path, SCHEMA))
    assert [row["user"] for row in found] == [cell or None for cell in cells]
    assert [row["age"] for row in found] == list(range(400))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("line", "column", "reason", "detail"),
    [
        ("u,1,x,a\n", None, "too few columns", "the row has 4 columns, expected 5"),
        ("u,1,x,a,1,9\n", None, "too many columns", "the row has 6 columns, expected 5"),
        ("u,old,x,a,1\n", "age", "age is not a number", "expected a finite number, got 'old'"),
        ("u,inf,x,a,1\n", "age", "age is not a number", "expected a finite number, got 'inf'"),
        ("u,0x1F,x,a,1\n", "age", "age is not a number", "got '0x1F'"),
        ("u,1,x,a,2\n", "click", "click is not 0 or 1", "expected the label, 0 or 1, got '2'"),
        ("u,1,x,a,yes\n", "click", "click is not 0 or 1", "got 'yes'"),
        ("u,1,x,a,\n", "click", "click is missing", "expected the label, 0 or 1, got nothing"),
        (b"\xff\xfe,1,x,a,1\n", "user", "user is not UTF-8 text", "expected UTF-8 text"),
        (b"\xff,1,x,a\n", None, "too few columns", "the row has 4 columns"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 140, 199])
def test_bad_row_is_named_by_its_line_or_counted(
    tmp_path, small_blocks, compressed, line, column, reason, detail, place
):
    line = line if isinstance(line, bytes) else line.encode()
    lines = [HEADER.encode(), *(good_line(i).encode() for i in range(200))]
    lines[place + 1] = line
    path = write(tmp_path / "rows.csv", b"".join(lines), compressed)
    with pytest.raises(BadRowError) as caught:
        rows_of(TabularFile(path, SCHEMA))
    assert (caught.value.line, caught.value.column, caught.value.reason) == (place + 2, column, reason)
    assert f"{path}, line {place + 2}" in str(caught.value) and detail in str(caught.value)
    assert "on_bad_row" in str(caught.value)

    source = TabularFile(path, SCHEMA, on_bad_row="skip")
    found = [
        (row["age"], int(split))
        for batch in source.batches()
        for row, split in zip(batch.columns.to_pylist(), batch.splits, strict=True)
    ]
    assert [age for age, _ in found] == [i + 0.5 for i in range(200) if i != place]
    assert source.skipped == {reason: 1} and source.num_rows == 199
    # The others stay in the splits that they have without the bad row.
    expected = RandomSplit().assign(np.arange(200))
    assert [split for _, split in found] == [int(expected[i]) for i in range(200) if i != place]


def test_lines_are_counted_through_blank_lines_and_quoted_line_ends(tmp_path, small_blocks):
    text = "\n" + HEADER + '"two\nlines",1,x,a,1\n\n\r\n' + "".join(good_line(i) for i in range(60))
    text += '"three\r\n\n lines, ""quoted""",2,"x\n",a,0\n' * 10
    line = text.count("\n") + 1
    for bad, column in (("u,zzz,x,a,1\n", "age"), ("u,1\n", None), ('"q\nq",1,x,a,7\n', "click")):
        path = write(tmp_path / "rows.csv", text + bad + good_line(1) * 30)
        with pytest.raises(BadRowError) as caught:
            rows_of(TabularFile(path, SCHEMA))
        assert (caught.value.line, caught.value.column) == (line, column)
    path = write(tmp_path / "rows.csv", text)
    assert len(rows_of(TabularFile(path, SCHEMA))) == 71


def test_the_first_bad_row_of_the_file_is_the_one_named(tmp_path):
    path = write(tmp_path / "rows.csv", HEADER + good_line(0) + "u,zzz,x,a,1\n" + "short\n" + "u,1,x,a,5\n")
    with pytest.raises(BadRowError, match="line 3, column 'age'"):
        rows_of(TabularFile(path, SCHEMA))
    path = write(tmp_path / "rows.csv", HEADER + good_line(0) + "short\n" + "u,zzz,x,a,1\n" + "u,1,x,a,5\n")
    with pytest.raises(BadRowError, match="line 3: the row has 1 columns"):
        rows_of(TabularFile(path, SCHEMA))
    source = TabularFile(path, SCHEMA, on_bad_row="skip")
    assert len(rows_of(source)) == 1
    assert source.skipped == {"too few columns": 1, "age is not a number": 1, "click is not 0 or 1": 1}


def test_a_row_with_two_faults_is_counted_once(tmp_path):
    path = write(tmp_path / "rows.csv", HEADER + good_line(0) + "u,zzz,x,a,5\n")
    source = TabularFile(path, SCHEMA, on_bad_row="skip")
    assert len(rows_of(source)) == 1 and sum(source.skipped.values()) == 1


@pytest.mark.parametrize("on_bad_row", ["error", "skip"])
def test_a_quote_that_is_never_closed_is_an_error(tmp_path, small_blocks, on_bad_row):
    text = HEADER + "".join(good_line(i) for i in range(50)) + 'u,1,x,"a,1\n' + "".join(good_line(i) for i in range(50))
    path = write(tmp_path / "rows.csv", text)
    with pytest.raises(ValueError, match="line 52: a quote .* is opened in this row and never closed"):
        rows_of(TabularFile(path, SCHEMA, on_bad_row=on_bad_row))
    found = rows_of(TabularFile(path, SCHEMA, quote=None))
    assert len(found) == 101 and found[50]["tags"] == '"a'


def test_a_quote_inside_a_value_means_nothing(tmp_path, small_blocks):
    lines = "".join(f'5" pipe {i},{i},x,"a,b",1\nv,{i},6" x,c,0\n' for i in range(60))
    path = write(tmp_path / "rows.csv", HEADER + lines)
    found = rows_of(TabularFile(path, SCHEMA))
    assert [row["user"] for row in found[::2]] == [f'5" pipe {i}' for i in range(60)]
    assert {row["tags"] for row in found[::2]} == {"a,b"}
    path = write(tmp_path / "rows.csv", HEADER + lines + "v,w,x,c,0\n")
    with pytest.raises(BadRowError, match="line 122, column 'age'"):
        rows_of(TabularFile(path, SCHEMA))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        TabularFile(tmp_path / "none.csv", SCHEMA)
    for compressed in (False, True):
        with pytest.raises(ValueError, match="the file is empty"):
            TabularFile(write(tmp_path / "empty.csv", "", compressed), SCHEMA)
    with pytest.raises(ValueError, match="no usable row"):
        rows_of(TabularFile(write(tmp_path / "header.csv", HEADER), SCHEMA))
    with pytest.raises(ValueError, match="no usable row; left out: {'too few columns': 2}"):
        rows_of(TabularFile(write(tmp_path / "bad.csv", HEADER + "a\nb\n"), SCHEMA, on_bad_row="skip"))
    with pytest.raises(
        ValueError, match=r"line 1: the schema's column 'user' is not in the file.*Did you mean 'users'"
    ):
        TabularFile(write(tmp_path / "names.csv", HEADER.replace("user", "users") + good_line(0)), SCHEMA)
    semicolons = write(tmp_path / "names.csv", (HEADER + good_line(0)).replace(",", ";"))
    with pytest.raises(ValueError, match="Give delimiter="):
        TabularFile(semicolons, SCHEMA, delimiter=",")
    assert rows_of(TabularFile(semicolons, SCHEMA)) == [{"click": 0.0, "user": "u0", "age": 0.5, "tags": "a|b"}]
    with pytest.raises(ValueError, match=r"named more than once: \['age'\]"):
        TabularFile(write(tmp_path / "twice.csv", HEADER.replace("extra", "age") + good_line(0)), SCHEMA)
    cut = write(tmp_path / "cut.csv.gz", gzip.compress((HEADER + "".join(map(good_line, range(5000)))).encode())[:-100])
    with pytest.raises(ValueError, match="truncated or damaged"):
        rows_of(TabularFile(cut, SCHEMA))


def test_bad_arguments(tmp_path):
    path = write(tmp_path / "rows.csv", HEADER + good_line(0))
    with pytest.raises(ValueError, match="Did you mean 'skip'"):
        TabularFile(path, SCHEMA, on_bad_row="skipp")
    with pytest.raises(ValueError, match="Did you mean 'order'"):
        TabularFile(path, SCHEMA, split_by="ordr")
    with pytest.raises(ValueError, match="one ASCII character"):
        TabularFile(path, SCHEMA, delimiter="::")
    with pytest.raises(ValueError, match="missing_values must be a sequence"):
        TabularFile(path, SCHEMA, missing_values="NA")


def test_columns_not_in_the_schema_may_have_any_name_and_content(tmp_path):
    path = write(tmp_path / "rows.tsv", b"user\tx\tx\tage\ttags\tclick\nu\t\xff\t\t3\tt\t1\n")
    assert rows_of(TabularFile(path, SCHEMA)) == [{"click": 1.0, "user": "u", "age": 3.0, "tags": "t"}]


def test_byte_order_mark_missing_values_and_weights(tmp_path):
    schema = Schema((Feature("a", "categorical"), Feature("b", "numeric")), label="y", weight="w", true_probability="p")
    text = "\ufeffa,b,y,w,p\nNULL,NULL,1,0.5,0.1\nq,2,0,3,1\n"
    found = rows_of(TabularFile(write(tmp_path / "rows.csv", text), schema, missing_values=("", "NULL")))
    assert found == [
        {"y": 1.0, "w": 0.5, "p": 0.1, "a": None, "b": None},
        {"y": 0.0, "w": 3.0, "p": 1.0, "a": "q", "b": 2.0},
    ]
    for row, column, detail in (
        ("q,2,0,-1,1\n", "w", "at least 0, got '-1'"),
        ("q,2,0,,1\n", "w", "got nothing"),
        ("q,2,0,1,1.5\n", "p", "at most 1, got '1.5'"),
        ("q,2,0,x,1\n", "w", "got 'x'"),
    ):
        source = TabularFile(write(tmp_path / "rows.csv", text + row), schema, missing_values=("", "NULL"))
        with pytest.raises(BadRowError, match=f"line 4, column '{column}'.*{detail}"):
            rows_of(source)


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "".join(map(good_line, range(103))),
        HEADER + "\n\n" + "".join(map(good_line, range(102))) + '"q\n\nq",1.5,x,a,0\n',
    ],
)
def test_split_by_order(tmp_path, small_blocks, text):
    source = TabularFile(
        write(tmp_path / "rows.csv", text), SCHEMA, split_by="order", splits={"train": 0.8, "test": 0.2}
    )
    splits = np.concatenate([batch.splits for batch in source.batches()])
    assert source.split_names == ("train", "test") and source.num_rows == 103
    assert (splits == OrderSplit(103, {"train": 0.8, "test": 0.2}).assign(np.arange(103))).all()


def test_dialect_counts_and_ends_agree_with_its_records():
    generator = np.random.default_rng(1)
    for quote in ('"', None):
        dialect = Dialect(",", quote)
        for _ in range(2000):
            data = bytes(generator.choice(list(b'ab,,""\n\n\r'), generator.integers(0, 25)).astype(np.uint8))
            records = dialect.records(data)
            assert dialect.num_records(data) == len(records)
            assert dialect.first_record(data) == (records[0] if records else None)
            end = dialect.end_of_last_row(data)
            assert end == 0 or data[end - 1 : end] == b"\n"
            # Cutting there changes no row.
            first = dialect.records(data[:end])
            rest = dialect.records(data[end:])
            cut = [data[:end][r.start : r.end] for r in first] + [data[end:][r.start : r.end] for r in rest]
            assert cut == [data[r.start : r.end] for r in records]


# Parquet


def parquet(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_parquet_equals_csv(tmp_path):
    lines = [good_line(i) for i in range(300)]
    from_csv = TabularFile(write(tmp_path / "rows.csv", HEADER + "".join(lines)), SCHEMA)
    cells = [line.strip().split(",") for line in lines]
    columns = {
        "user": pa.array([cell[0] for cell in cells]).dictionary_encode(),
        "age": pa.array([float(cell[1]) for cell in cells]),
        "tags": pa.array([cell[3].split("|") for cell in cells]),
        "click": pa.array([cell[4] == "1" for cell in cells]),
    }
    from_parquet = TabularFile(parquet(tmp_path / "rows.parquet", columns, row_group_size=70), SCHEMA)
    assert from_parquet.num_rows == 300
    expected = [{**row, "tags": row["tags"].split("|")} for row in rows_of(from_csv)]
    assert rows_of(from_parquet) == expected
    splits = [np.concatenate([batch.splits for batch in source.batches()]) for source in (from_csv, from_parquet)]
    assert (splits[0] == splits[1]).all()


def test_parquet_types_become_text(tmp_path):
    schema = Schema((Feature("a", "categorical"), Feature("b", "categorical"), Feature("n", "numeric")), label="y")
    columns = {"a": [1, None, 3], "b": [1.0, float("nan"), 2.5], "n": ["4", "", None], "y": [0, 1, 1]}
    found = rows_of(TabularFile(parquet(tmp_path / "rows.parquet", columns), schema))
    assert [(row["a"], row["b"], row["n"]) for row in found] == [
        ("1", "1", 4.0),
        (None, None, None),
        ("3", "2.5", None),
    ]


def test_parquet_bad_rows_and_files(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "_BATCH_ROWS", 64)
    columns = {"user": ["u"] * 200, "age": [1.0] * 200, "tags": ["t"] * 200, "click": [0] * 200}
    bad = {**columns, "click": [0] * 150 + [3, None] + [0] * 48}
    path = parquet(tmp_path / "rows.parquet", bad)
    with pytest.raises(BadRowError, match="row 151, column 'click': expected the label, 0 or 1, got 3"):
        rows_of(TabularFile(path, SCHEMA))
    source = TabularFile(path, SCHEMA, on_bad_row="skip")
    assert len(rows_of(source)) == 198
    assert source.skipped == {"click is not 0 or 1": 1, "click is missing": 1}
    bad = {**columns, "age": ["1"] * 199 + ["x"]}
    with pytest.raises(BadRowError, match="row 200, column 'age'.*got 'x'"):
        rows_of(TabularFile(parquet(path, bad), SCHEMA))
    with pytest.raises(ValueError, match="'tags' is not in the file.*Did you mean 'tag'"):
        TabularFile(parquet(path, {**{k: v for k, v in columns.items() if k != "tags"}, "tag": ["t"] * 200}), SCHEMA)
    with pytest.raises(ValueError, match="Column 'user' holds list<.*declare its kind"):
        TabularFile(parquet(path, {**columns, "user": [["u"]] * 200}), SCHEMA)
    with pytest.raises(ValueError, match="Column 'age' holds .*expected numbers"):
        TabularFile(parquet(path, {**columns, "age": [["u"]] * 200}), SCHEMA)
    with pytest.raises(ValueError, match="no usable row"):
        rows_of(TabularFile(parquet(path, {k: v[:0] for k, v in bad.items()}), SCHEMA))
    parquet(path, columns)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="starts as a Parquet file but cannot be read"):
        TabularFile(path, SCHEMA)


def test_a_damaged_page_is_noticed_by_its_checksum(tmp_path):
    columns = {"user": [f"u{i}" for i in range(2000)], "age": [1.0] * 2000, "tags": ["t"] * 2000, "click": [0] * 2000}
    path = parquet(
        tmp_path / "rows.parquet", columns, write_page_checksum=True, compression="none", use_dictionary=False
    )
    whole = path.read_bytes()
    assert len(rows_of(TabularFile(path, SCHEMA))) == 2000
    place = whole.index(b"u1234")
    path.write_bytes(whole[:place] + b"v" + whole[place + 1 :])
    with pytest.raises(ValueError, match="cannot be read after row 0.*damaged; write it again"):
        rows_of(TabularFile(path, SCHEMA))


def test_leaving_rows_out_is_advised_for_single_rows_alone(tmp_path):
    bad = "u,old,x,a,1\n"
    path = write(tmp_path / "rows.csv", HEADER + "".join(map(good_line, range(20))) + bad)
    with pytest.raises(BadRowError, match="""Fix the row, or give on_bad_row="skip" """):
        rows_of(TabularFile(path, SCHEMA))
    path = write(tmp_path / "rows.csv", HEADER + "".join(map(good_line, range(20))) + bad * 10)
    with pytest.raises(BadRowError, match="10 of 30 rows looked at are bad, too many to leave out") as caught:
        rows_of(TabularFile(path, SCHEMA))
    assert "on_bad_row" not in str(caught.value) and "categorical" in str(caught.value)


def test_what_is_recognised_is_said(tmp_path, caplog):
    TabularFile(write(tmp_path / "rows.csv", (HEADER + good_line(0)).replace(",", ";")), SCHEMA)
    assert "its first line shows that ';' separates the values" in caplog.text
    caplog.clear()
    TabularFile(write(tmp_path / "rows.csv", (HEADER + good_line(0)).encode("utf-16")), SCHEMA)
    assert "is read as utf-16" in caplog.text
    caplog.clear()
    TabularFile(write(tmp_path / "rows.tsv", (HEADER + good_line(0)).replace(",", "\t")), SCHEMA)
    TabularFile(write(tmp_path / "rows.csv", HEADER + good_line(0)), SCHEMA)
    assert not caplog.text


def test_json_lines_over_many_blocks_and_by_order(tmp_path, small_blocks):
    lines = [f'{{"user": "u{i}", "age": {i}, "tags": ["a", "b"], "click": {i % 2}}}\n' for i in range(100)]
    path = write(tmp_path / "rows.json", "".join(lines[:60]) + "\n" + "".join(lines[60:]))
    source = TabularFile(path, SCHEMA, split_by="order", splits={"train": 0.8, "test": 0.2})
    batches = list(source.batches())
    assert len(batches) > 10 and source.num_rows == 100
    assert [row["age"] for batch in batches for row in batch.columns.to_pylist()] == list(range(100))
    assert np.concatenate([batch.splits for batch in batches]).tolist() == [0] * 80 + [1] * 20
    lines[70] = lines[70].replace("70,", '"old",')
    path = write(tmp_path / "rows.json", "".join(lines[:60]) + "\n" + "".join(lines[60:]))
    with pytest.raises(BadRowError, match="line 72, column 'age': expected a finite number, got 'old'"):
        rows_of(TabularFile(path, SCHEMA))


def test_lists_that_are_no_utf8_are_named_by_their_row(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "_BATCH_ROWS", 64)
    tags = [[b"a", b"b"], None, []] * 50
    tags[130] = [b"a", b"\xff"]
    columns = {"user": ["u"] * 150, "age": [1.0] * 150, "click": [0] * 150}
    path = parquet(tmp_path / "rows.parquet", {**columns, "tags": pa.array(tags, pa.list_(pa.binary()))})
    with pytest.raises(BadRowError, match="row 131, column 'tags': expected UTF-8 text"):
        rows_of(TabularFile(path, SCHEMA))
    source = TabularFile(path, SCHEMA, on_bad_row="skip")
    assert len(rows_of(source)) == 149 and source.skipped == {"tags is not UTF-8 text": 1}


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_list(pa.large_string()),
        pa.list_(pa.dictionary(pa.int8(), pa.string())),
        pa.list_(pa.string(), 2),
        pa.list_view(pa.string_view()) if hasattr(pa, "list_view") else pa.list_(pa.string()),
    ],
    ids=str,
)
def test_lists_over_many_batches_and_groups_of_rows(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(parquet_rows, "_BATCH_ROWS", 7)
    random = np.random.default_rng(0)
    lists = [None if i % 7 == 3 else [f"v{n}" if n else None for n in random.integers(0, 9, 2)] for i in range(50)]
    columns = {"user": ["u"] * 50, "age": [1.0] * 50, "click": [0] * 50, "tags": pa.array(lists, kind)}
    try:
        path = parquet(tmp_path / "rows.parquet", columns, row_group_size=19)
    except pa.ArrowNotImplementedError:
        pytest.skip("This pyarrow cannot write such a file.")
    assert [row["tags"] for row in rows_of(TabularFile(path, SCHEMA))] == lists
