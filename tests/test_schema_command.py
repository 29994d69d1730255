"""The command that drafts schemas: what it prints works as it is printed."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import re
import shlex
import subprocess
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from dynctr_tf.datasets import TabularFile, draft_schema
from dynctr_tf.jobs.preparing import open_source
from dynctr_tf.jobs.settings import JobSettings
from dynctr_tf.schema import Schema
from pipelines import schema as command
from pipelines.settings_parser import SettingsParser

ROWS = 60


def write_rows(path: Path, delimiter: str = ",", header: bool = True) -> None:
    generator = random.Random(0)
    lines = [["user id", "price", "click"]] if header else []
    lines += [[f"u{generator.randrange(9)}", str(generator.randrange(99) / 8), str(i % 2)] for i in range(ROWS)]
    path.write_text("".join(delimiter.join(line) + "\n" for line in lines), encoding="utf-8")


def settings_of(printed: str) -> JobSettings:
    """The settings of the printed training command."""
    line = printed.strip().splitlines()[-1]
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "pipelines.train"], line
    sections = [section for section in JobSettings().to_mapping() if section != "search"]
    settings, _ = SettingsParser("", sections).parse_settings(words[3:])
    assert settings.data.name == "tabular_file"
    return settings


def trained_on(printed: str) -> int:
    """Opens the data as the printed training command does, and counts its rows."""
    return sum(batch.columns.num_rows for batch in open_source(settings_of(printed).data).batches())


@pytest.mark.parametrize(
    "name",
    [
        "clicks.csv",
        "my clicks.csv",
        "it's.csv",
        "run[1].csv",
        "2024",
        "true",
        "none",
        "-x.csv",
        "$HOME.csv",
        "类目.csv",
    ],
)
def test_the_training_command_works_for_any_path(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / name)
    given = f"./{name}" if name.startswith("-") else name
    assert command.main([given]) == 0
    assert trained_on(capsys.readouterr().out) == ROWS
    assert command.main([str(tmp_path / name), "--force"]) == 0
    assert trained_on(capsys.readouterr().out) == ROWS


@pytest.mark.parametrize("delimiter", [";", "|", "\t", "^", "\x01", "#"])
def test_the_training_command_has_the_delimiter(
    delimiter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path / "clicks.csv", delimiter)
    assert command.main([str(tmp_path / "clicks.csv"), "--delimiter", delimiter]) == 0
    printed = capsys.readouterr().out
    assert "--data.options.delimiter" in printed and trained_on(printed) == ROWS


@pytest.mark.parametrize(
    "value", ["1", "true", "none", "null", " ", "'", '"', "\\", "\x7f", "[1]", "é", None, ["a b", '"c"', "1"]]
)
def test_options_are_written_as_the_job_reads_them(value: object) -> None:
    words = shlex.split(command.train_command([Path("a.csv")], Path("b.json"), {"x": value}))
    settings, _ = SettingsParser("", ["data"]).parse_settings(words[3:])
    assert settings.data.options == {"x": value}


def test_options_reach_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(
        "user,age,rating\n"
        + "".join(f"u{i % 7},{'void' if i % 5 == 0 else i % 49 + 0.5},{i % 5 + 1}\n" for i in range(200))
    )
    assert command.main([str(path)]) == 2
    line = capsys.readouterr().err.splitlines()[-1].strip()
    assert line == f"python -m pipelines.schema {path} --label rating --positive '>= 4'"
    assert command.main([*shlex.split(line)[3:], "--missing", "void", "--missing=-1"]) == 0
    schema = Schema.load(tmp_path / "ratings.schema.json")
    assert (schema.label, schema.positive, schema.missing_values) == ("rating", ">= 4", ("", "void", "-1"))
    assert schema.feature("age").kind == "numeric"
    printed = capsys.readouterr().out
    assert "a click is '>= 4'" in printed and trained_on(printed) == 200


def test_the_command_in_a_message_keeps_the_other_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my ratings.csv"
    path.write_text("user;rating\n" + "".join(f"u{i % 7};{i % 5 + 1}\n" for i in range(200)))
    assert command.main([str(path), "--delimiter", ";", "--missing=-9"]) == 2
    line = capsys.readouterr().err.splitlines()[-1].strip()
    assert line.endswith("my ratings.csv' --label rating --positive '>= 4' --delimiter ';' --missing=-9")
    assert command.main(shlex.split(line)[3:]) == 0


ROWS_OF_TEXT = [["user", "città", "click"]] + [[f"ü{i % 7}", f"é{i * i % 11}", str(i % 3 % 2)] for i in range(ROWS)]


def text(delimiter: str = ",", header: bool = True) -> str:
    return "".join(delimiter.join(row) + "\n" for row in ROWS_OF_TEXT[0 if header else 1 :])


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("clicks.csv", data)
    return buffer.getvalue()


READ: dict[str, tuple[str, bytes, list[str]]] = {
    # The file's name, its content, and the options that it needs.
    "UTF-8": ("a.csv", text().encode(), []),
    "a byte order mark": ("a.csv", text().encode("utf-8-sig"), []),
    "UTF-16": ("a.csv", text().encode("utf-16"), []),
    "UTF-16 without a mark": ("a.csv", text().encode("utf-16-le"), ["--encoding", "utf-16-le"]),
    "Latin-1": ("a.csv", text().encode("latin-1"), ["--encoding", "latin-1"]),
    "gzip": ("a.csv.gz", gzip.compress(text().encode()), []),
    "bz2": ("a.csv.bz2", bz2.compress(text().encode()), []),
    "xz": ("a.csv.xz", lzma.compress(text().encode()), []),
    "zstd": ("a.csv.zst", pa.compress(text().encode(), "zstd", asbytes=True), []),
    "zip": ("a.zip", zipped(text().encode()), []),
    "semicolons": ("a.csv", text(";").encode(), []),
    "tabs in a file called .csv": ("a.csv", text("\t").encode(), []),
    "tabs in a file called .txt": ("a.txt", text("\t").encode(), []),
    "commas in a file called .tsv": ("a.tsv", text(",").encode(), []),
    "bars": ("a.dat", text("|").encode(), []),
    "line ends of Windows": ("a.csv", text().replace("\n", "\r\n").encode(), []),
    "blanks after the commas": ("a.csv", text(", ").encode(), []),
    "no header": ("a.csv", text(header=False).encode(), ["--column-names", "user,città,click"]),
    "no header, names as JSON": ("a.csv", text(header=False).encode(), ["--column-names", '["user", "a,b", "click"]']),
    "quotes without a meaning": ("a.csv", text().replace("ü1,", '"ü1,').encode(), ["--quote", "none"]),
    "JSON lines": (
        "a.jsonl",
        "".join(json.dumps(dict(zip(ROWS_OF_TEXT[0], row, strict=True))) + "\n" for row in ROWS_OF_TEXT[1:]).encode(),
        [],
    ),
}


@pytest.mark.parametrize("case", READ)
def test_what_the_draft_reads_the_training_reads(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, data, options = READ[case]
    (tmp_path / name).write_bytes(data)
    status = command.main([str(tmp_path / name), *options])
    printed, said = capsys.readouterr()
    assert status == 0, said
    assert "=..." not in said and ("--delimiter" in said) == ("--data.options.delimiter" in printed)
    schema = Schema.load(tmp_path / "a.schema.json")
    assert schema.label == "click" and [feature.kind for feature in schema.features] == ["categorical"] * 2
    assert trained_on(printed) == ROWS
    source = open_source(settings_of(printed).data)
    values = {value for batch in source.batches() for value in batch.columns[schema.features[1].name].to_pylist()}
    assert values == {f"é{i * i % 11}" for i in range(ROWS)}


REFUSED: dict[str, tuple[bytes, list[str], str]] = {
    "Latin-1": (text().encode("latin-1"), [], "--encoding latin-1"),
    "a Latin-1 cell": (text().replace("città", "city").encode("latin-1"), [], "--encoding latin-1"),
    "UTF-16 without a mark": (text().encode("utf-16-le"), [], "--encoding utf-16-le"),
    "no header": (("0,5,7,u\n" * 9 + "1,4,,v\n" * 9).encode(), [], "--column-names NAME,NAME,..."),
    "no header, few numbers": (b"b,d,1\n" + b"a,c,0\nb,d,1\nd,d,0\n" * 9, [], "--column-names NAME,NAME,..."),
    "another delimiter": (text().encode(), ["--delimiter", ";"], "clicked or the like"),
    "quotes without a meaning": (text().replace("ü1,", '"ü1,', 1).encode(), [], "--quote none"),
    "two few names": (text(header=False).encode(), ["--column-names", "user,click"], "--delimiter"),
    "an unknown encoding": (text().encode(), ["--encoding", "latin-0"], "no encoding of text called 'latin-0'"),
    "names that are no list": (text().encode(), ["--column-names", "[1"], "not a JSON list"),
    "names that are no texts": (text().encode(), ["--column-names", "[1]"], "JSON list of texts"),
    "nothing": (b"", [], "the file is empty"),
    "a header alone": (b"user,click\n", [], "no usable row"),
    "a damaged gzip file": (gzip.compress(text().encode())[:-20], [], "truncated or damaged"),
    "an Excel file": (b"PK\x03\x04" + b"\0" * 30, [], "zip archive"),
    "a JSON array": (b'[{"user": "a", "click": 1}]', [], "JSON lines"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_read_names_what_reads_it(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, options, message = REFUSED[case]
    (tmp_path / "a.csv").write_bytes(data)
    assert command.main([str(tmp_path / "a.csv"), *options]) == 2
    printed = capsys.readouterr().err
    assert message in printed and "on_bad_row" not in printed and "=..." not in printed
    assert not (tmp_path / "a.schema.json").exists()


def test_columns_named_twice_are_left_out_as_training_leaves_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,x,click,x\n" + "".join(f"u{i % 7},1,{i % 3 % 2},2\n" for i in range(ROWS)))
    draft = draft_schema(path)
    assert [(entry.name, entry.kind) for entry in draft.columns] == [
        ("user", "categorical"),
        ("x", "left out"),
        ("click", "label"),
    ]
    assert draft.columns[1].reason == "columns named more than once: ['x']. Rename all but one of each"
    assert sum(batch.columns.num_rows for batch in TabularFile(path, draft.schema).batches()) == ROWS
    path.write_text("user,click,click\n" + "".join(f"u{i % 7},{i % 2},2\n" for i in range(ROWS)))
    # The same words when a file is drafted and when it is read.
    with pytest.raises(ValueError) as read:
        TabularFile(path, draft.schema)
    for label in ("click", None):
        with pytest.raises(ValueError, match="the label 'click' cannot be used") as drafted:
            draft_schema(path, label=label)
        assert str(drafted.value).rpartition("columns named")[2] == str(read.value).rpartition("columns named")[2]


def test_a_first_row_that_is_named_as_the_label_is_doubted(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"b,d,1\n" + b"a,c,0\nb,d,1\nd,d,0\n" * 9)
    reason = draft_schema(path, label="1").columns[2].reason
    assert "THE FIRST ROW LOOKS LIKE DATA" in reason and "--column-names" in reason
    assert "FIRST ROW" not in draft_schema(path, label="click", column_names=["a", "b", "click"]).columns[2].reason
    path.write_bytes(b"1,2,click\n" + b"a,c,0\nb,d,1\nd,d,0\n" * 9)  # a header all the same
    assert "FIRST ROW" not in draft_schema(path).columns[2].reason


CONVERTED = {
    "libFM": "".join(f"{i % 2} {i % 9 + 1}:1 {i % 4 + 10}:1{i % 3 * ' 15:1'}\n" for i in range(ROWS)),
    "two colons": "".join(f"u{i % 9}::{i % 7} a: b::{i % 2}\n" for i in range(ROWS)),
}


@pytest.mark.parametrize("case", CONVERTED)
def test_the_conversion_in_a_message_works(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text(CONVERTED[case])
    assert command.main([str(tmp_path / "a.txt")]) == 2
    said = capsys.readouterr().err
    (script,) = re.findall(r"sed (?:-E )?'([^']*)'", said)
    assert "=[" not in said and (case != "libFM" or "--delimiter ' '" in said)
    text = subprocess.run(["sed", "-E", script, tmp_path / "a.txt"], stdout=subprocess.PIPE, text=True, check=True)
    (tmp_path / "b.txt").write_text(text.stdout)
    names = "click,features" if case == "libFM" else "user,title,click"
    assert command.main([str(tmp_path / "b.txt"), "--column-names", names]) == 0
    assert trained_on(capsys.readouterr().out) == ROWS
    schema = Schema.load(tmp_path / "b.schema.json")
    batches = TabularFile(tmp_path / "b.txt", schema, column_names=names.split(",")).batches()
    rows = [row for batch in batches for row in batch.columns.to_pylist()]
    if case == "libFM":
        assert schema.feature("features").kind == "multi_valued"
        assert rows[2] == {"click": 0.0, "features": "3|12|15|15"}
    else:
        assert rows[2] == {"click": 0.0, "user": "u2", "title": "2 a: b"}


def test_json_lines_with_lists_and_objects(tmp_path: Path) -> None:
    generator = random.Random(0)
    rows = [
        {
            "user": generator.randrange(2**60, 2**60 + 9),
            "tags": generator.sample(["a", "b", "c"], generator.randint(0, 3)),
            "price": generator.random(),
            "device": {"os": "x"},
            "click": generator.random() < 0.5,
        }
        for _ in range(ROWS)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    draft = draft_schema(path)
    kinds = {entry.name: entry.kind for entry in draft.columns}
    assert kinds == {
        "user": "categorical",
        "tags": "multi_valued",
        "price": "numeric",
        "device": "left out",
        "click": "label",
    }
    batches = list(TabularFile(path, draft.schema).batches())
    assert [tags or [] for batch in batches for tags in batch.columns["tags"].to_pylist()] == [r["tags"] for r in rows]


def test_json_lists_of_which_a_block_has_text_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynctr_tf.datasets.text_rows._BLOCK_BYTES", 500)
    lists = [["a", "b"], ["b"], None] * 20 + ["c|a", None] * 40 + [None] * 50
    rows = [{"user": f"u{i % 7}", "tags": tags, "click": i % 2} for i, tags in enumerate(lists)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    draft = draft_schema(path)
    assert draft.schema.feature("tags").kind == "multi_valued"
    batches = list(TabularFile(path, draft.schema).batches())
    assert len(batches) > 3 and len({batch.columns.schema for batch in batches}) == 1
    found = [tags for batch in batches for tags in batch.columns["tags"].to_pylist()]
    assert found == [tags.split("|") if isinstance(tags, str) else tags for tags in lists]
