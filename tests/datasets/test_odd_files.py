"""Files as people post them: each gives the right values, or a message that says what makes it work."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dynctr_tf.datasets import TabularFile
from dynctr_tf.schema import Feature, Schema

CLICK = Schema((Feature("a", "categorical"),), label="y")
NUMBER = Schema((Feature("a", "numeric"),), label="y")
TAGS = Schema((Feature("a", "multi_valued"),), label="y")
LISTS = Schema((Feature("a", "multi_valued", list_format="brackets"),), label="y")
WEIGHTED = Schema((Feature("a", "categorical"),), label="y", weight="w")
SHOWN = Schema((Feature("a", "categorical"),), label="y", impressions="n")


class Case(NamedTuple):
    """A file and what it gives: the values of column `a`, or of the columns named, or a message."""

    name: str
    data: Any
    schema: Schema
    expected: Any
    options: dict[str, Any] = {}
    columns: tuple[str, ...] = ("a",)


def csv_of(*cells: str, header: str = "a,y") -> str:
    """A file of one column of cells, with labels 1, 0, 1, ..."""
    return header + "\n" + "".join(f"{cell},{1 - i % 2}\n" for i, cell in enumerate(cells))


def table_of(cells: Any, kind: pa.DataType | None = None) -> pa.Table:
    values = cells if isinstance(cells, pa.Array) else pa.array(cells, kind)
    return pa.table({"a": values, "y": [1 - i % 2 for i in range(len(values))]})


def labels_of(*labels: str) -> str:
    return "a,y\n" + "".join(f"u,{label}\n" for label in labels)


def positive(rule: str) -> Schema:
    return Schema(CLICK.features, "y", positive=rule)


def zipped(**files: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_csv", ".csv"), content)
    return data.getvalue()


def compressed(kind: str, data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, kind) as stream:
        stream.write(data)
    return bytes(sink.getvalue())


PLAIN = csv_of("x", "y")
GIVES = ["x", "y"]
LABELS = ("y",)
UNDATED = Schema((Feature("a", "categorical"), Feature("b", "categorical")), label="y")

FILES = [
    Case("plain", PLAIN, CLICK, GIVES),
    Case("gzip", gzip.compress(PLAIN.encode()), CLICK, GIVES),
    Case("gzip of two parts", gzip.compress(b"a,y\nx,1\n") + gzip.compress(b"y,0\n"), CLICK, GIVES),
    Case("bz2", bz2.compress(PLAIN.encode()), CLICK, GIVES),
    Case("bz2 of two parts", bz2.compress(b"a,y\nx,1\n") + bz2.compress(b"y,0\n"), CLICK, GIVES),
    Case("zstd", compressed("zstd", PLAIN.encode()), CLICK, GIVES),
    Case(
        "zstd of two parts",
        compressed("zstd", b"a,y\nx,1\n") + compressed("zstd", b"y,0\n"),
        CLICK,
        GIVES,
    ),
    Case("lz4", compressed("lz4", PLAIN.encode()), CLICK, GIVES),
    Case("xz", lzma.compress(PLAIN.encode()), CLICK, GIVES),
    Case("zip", zipped(rows_csv=PLAIN.encode()), CLICK, GIVES),
    Case("zip with a Mac's extras", zipped(rows_csv=PLAIN.encode(), **{"__MACOSX/._rows": b"x"}), CLICK, GIVES),
    Case("zip of two", zipped(a_csv=b"a", b_csv=b"b"), CLICK, "zip archive of 2 files, 'a.csv', 'b.csv'; one is expec"),
    Case("Excel", zipped(**{"[Content_Types].xml": b"x"}), CLICK, "is an Excel file.*Save the table as CSV"),
    Case(
        "zip, cut off",
        zipped(rows_csv=PLAIN.encode())[:-30],
        CLICK,
        "starts as a zip archive but cannot be read as one",
    ),
    Case("bz2, cut off", bz2.compress(PLAIN.encode())[:-8], CLICK, "truncated or damaged"),
    Case("xz, cut off", lzma.compress(PLAIN.encode())[:-20], CLICK, "truncated or damaged"),
    Case("gzip, cut off", gzip.compress(PLAIN.encode())[:-9], CLICK, "truncated or damaged"),
    Case("gzip twice", gzip.compress(gzip.compress(PLAIN.encode())), CLICK, "holds gzip inside of gzip. Unpack it"),
    Case("Parquet in gzip", gzip.compress(b"PAR1xxxxPAR1"), CLICK, "holds a Parquet file inside of gzip"),
    Case("Feather", b"ARROW1\0\0", CLICK, "is an Arrow .* file. Give a CSV file, JSON lines or a Parquet file"),
    Case("pickle", b"\x80\x04\x95\0", CLICK, "is a pickle"),
    Case("mark of UTF-8", "\ufeff" + PLAIN, CLICK, GIVES),
    Case("UTF-16", csv_of("é").encode("utf-16"), CLICK, ["é"]),
    Case("UTF-16, big end", b"\xfe\xff" + csv_of("é").encode("utf-16-be"), CLICK, ["é"]),
    Case("UTF-16 in gzip", gzip.compress(csv_of("é").encode("utf-16")), CLICK, ["é"]),
    Case("UTF-16 without mark", PLAIN.encode("utf-16-le"), CLICK, 'bytes of 0.*encoding="utf-16-le"'),
    Case("the same, told", PLAIN.encode("utf-16-le"), CLICK, GIVES, {"encoding": "utf-16-le"}),
    Case("UTF-16 big end without mark", PLAIN.encode("utf-16-be"), CLICK, 'encoding="utf-16-be"'),
    Case("UTF-32", PLAIN.encode("utf-32"), CLICK, GIVES),
    Case("Latin-1", csv_of("é").encode("latin-1"), CLICK, "line 2, column 'a'.*UTF-8 text.*encoding=\"latin-1\""),
    Case("Latin-1, told", csv_of("é").encode("latin-1"), CLICK, ["é"], {"encoding": "latin-1"}),
    Case("Latin-1 header", "é,a,y\nx,x,1\n".encode("latin-1"), CLICK, 'header is not UTF-8.*encoding="latin-1"'),
    Case("GB18030, told", csv_of("类目").encode("gb18030"), CLICK, ["类目"], {"encoding": "gb18030"}),
    Case(
        "wrong encoding",
        csv_of("é").encode("latin-1"),
        CLICK,
        "expected UTF-8 text",
        {"encoding": "ascii"},
    ),
    Case("UTF-16, odd", b"\xff\xfe" + PLAIN.encode("utf-16-le")[:-1], CLICK, "is not text in utf-16"),
    Case("no encoding", PLAIN, CLICK, "no encoding of text called 'lattin'", {"encoding": "lattin"}),
    Case("no encoding of text", PLAIN, CLICK, "no encoding of text called 'base64'", {"encoding": "base64"}),
    Case("semicolons", PLAIN.replace(",", ";"), CLICK, GIVES),
    Case("semicolons and decimal commas", "a;b;y\nx;1,5;1\n", CLICK, ["x"]),
    Case("tabs", PLAIN.replace(",", "\t"), CLICK, GIVES),
    Case("bars", PLAIN.replace(",", "|"), CLICK, GIVES),
    Case("Hive's delimiter", PLAIN.replace(",", "\x01"), CLICK, GIVES),
    Case("blanks as delimiters", PLAIN.replace(",", " "), CLICK, GIVES),
    Case("a wrong delimiter told", PLAIN, CLICK, "not in the file.*Give delimiter=", {"delimiter": ";"}),
    Case("a delimiter inside of quotes", '"a";"y"\n"x;z";1\n', CLICK, ["x;z"]),
    Case("blanks after commas", "a, y, b\nx, 1, p\ny, 0, \n", UNDATED, ["x", "y"]),
    Case("blanks after commas, values", "y, a\n1, x\n0, \n1, z\n", CLICK, ["x", None, "z"]),
    Case(
        "blanks before quotes", 'y, a\n1, "x, z"\n', CLICK, "between a delimiter and a quote.*sed -E 's/, [+]\"/,\"/g'"
    ),
    Case("blanks before quotes in the header", '"y", "a"\n1, x\n', CLICK, "between a delimiter and a quote"),
    Case("blanks before quotes later", 'y, a\n1, x\n0, "z"\n', CLICK, "between a delimiter and a quote"),
    Case("blanks before quotes inside of quotes", 'y, a\n1,"x, ""z"""\n0,"x, ""z"""\n', CLICK, ['x, "z"'] * 2),
    Case("the same, without a meaning", 'y, a\n1, "x"\n', CLICK, ['"x"'], {"quote": None}),
    Case("blanks around names", " a ,y \nx,1\n", CLICK, ["x"]),
    Case(
        "a blank in the schema's name", "y, a\n1,x\n", Schema((Feature(" a", "categorical"),), "y"), ["x"], {}, (" a",)
    ),
    Case("no header", "x,1\nz,0\n", CLICK, "not in the file.*no header, give column_names"),
    Case("no header, told", "x,1\nz,0\n", CLICK, ["x", "z"], {"column_names": ["a", "y"]}),
    Case("no header, semicolons", "x;1\nz;0\n", CLICK, ["x", "z"], {"column_names": ["a", "y"]}),
    Case("wrong names told", "x,1,2\n", CLICK, "the row has 3 columns, expected 2", {"column_names": ["a", "y"]}),
    Case("names as one text", PLAIN, CLICK, "column_names must be a sequence", {"column_names": "ay"}),
    Case("pandas' index", ",a,y\n0,x,1\n1,z,0\n", CLICK, ["x", "z"]),
    Case("pandas' index, read and written", "Unnamed: 0,a,y\n0,x,1\n", CLICK, ["x"]),
    Case("two columns without a name", ",,a,y\n0,0,x,1\n", CLICK, ["x"]),
    Case("a column twice", "a,a,y\nx,y,1\n", CLICK, r"columns named more than once: \['a'\]. Rename"),
    Case("twice with a blank", "a, a,y\nx,y,1\n", CLICK, r"columns named more than once: \['a'\]"),
    Case("another column twice", "b,b,a,y\n1,2,x,1\n", CLICK, ["x"]),
    Case("two colons between", "x::1\nz::0\n", CLICK, r"'::' separates the values \('x::1'\).*sed 's/::/"),
    Case("two colons and names", "x::1\n", CLICK, "'::' separates.*sed", {"column_names": ["a", "y"]}),
    Case("two colons and a header", "a::y\nx::1\nz::0\n", CLICK, ["x", "z"]),
    Case("two colons, taken as one twice", "x::1\n", CLICK, ["x"], {"column_names": ["a", "", "y"]}),
    Case("two colons in a value", "x::2,1\nz::3,0\n", CLICK, ["x::2", "z::3"], {"column_names": ["a", "y"]}),
    Case("libFM", "1 3:1 7:1\n0 4:1\n", CLICK, r"libFM and LIBSVM write them \('1 3:1 7:1'\).*sed -E"),
    Case("libFM and names", "-1 3:0.5 7:1e-3\n", CLICK, "libFM and LIBSVM", {"column_names": ["y", "a", "b"]}),
    Case("LIBSVM with queries", "2 qid:10 1:0.53 2:0.12 # a\n", CLICK, "libFM and LIBSVM"),
    Case("fields of libFFM", "0 1:3:1 2:7:0.5\n", CLICK, "libFM and LIBSVM"),
    Case(
        "libFM, each row of the same fields",
        "1 3:1 7:1\n0 4:1 9:1\n",
        CLICK,
        ["3:1", "4:1"],
        {"column_names": ["y", "a", "b"], "delimiter": " "},
    ),
    Case("empty lines", "\n\na,y\n\nx,1\n\n\n", CLICK, ["x"]),
    Case("a header alone", "a,y\n", CLICK, "no usable row"),
    Case("line ends of old Macs", "a,y\rx,1\rz,0\r", CLICK, ["x", "z"]),
    Case("a mark inside", csv_of("\ufeffx"), CLICK, ["\ufeffx"]),
    Case(
        "row numbers without a name", "a,y\n0,x,1\n1,z,0\n", CLICK, "2 of 2 rows.*All have 3: name each column in the h"
    ),
    Case(
        "a delimiter behind rows",
        "x,1,\nz,0,\n",
        CLICK,
        "All have 3: name .* in column_n",
        {"column_names": ["a", "y"]},
    ),
    Case("the same, named", "x,1,\nz,0,\n", CLICK, ["x", "z"], {"column_names": ["a", "y", ""]}),
    Case("another delimiter in the rows", "a,y\nx;1\nz;0\n", CLICK, "2 of 2 rows looked at are bad.*Is the delimiter"),
]

WHOLE = [
    Case("int64", table_of([2**60, 2**53 + 1]), CLICK, [str(2**60), str(2**53 + 1)]),
    Case("uint64", table_of([2**64 - 1], pa.uint64()), CLICK, [str(2**64 - 1)]),
    Case("uint64 as a number", table_of([2**64 - 1], pa.uint64()), NUMBER, [float(2**64 - 1)]),
    Case("int64 as a number", table_of([2**60]), NUMBER, [float(2**60)]),
    Case("large floats", table_of([1e15, 1e16, 1.5e17]), CLICK, ["1" + "0" * 15, "1" + "0" * 16, "15" + "0" * 16]),
    Case("large floats in a CSV", csv_of("1e+16", "1.5e+17"), CLICK, ["1" + "0" * 16, "15" + "0" * 16]),
    Case("texts like floats", csv_of("1e5", "1e+5", "012"), CLICK, ["1e5", "1e+5", "012"]),
    Case("int with gaps", table_of([12.0, None, 7.0]), CLICK, ["12", None, "7"]),
    Case("NaN", table_of([12.0, float("nan")]), CLICK, ["12", None]),
    Case("fractions", table_of([0.1, 2.5, 1e-5]), CLICK, ["0.1", "2.5", "1e-05"]),
    Case("float32", table_of([0.1, 3.0], pa.float32()), CLICK, ["0.1", "3"]),
    Case("float16", table_of([0.5, 3.0], pa.float16()), CLICK, ["0.5", "3"]),
    Case("infinity as a text", table_of([float("inf"), 1.0]), CLICK, ["inf", "1"]),
    Case("booleans", table_of([True, None, False]), CLICK, ["true", None, "false"]),
    Case("booleans as numbers", table_of([True, None, False]), NUMBER, [1.0, None, 0.0]),
    Case("booleans as numbers in a CSV", csv_of("True", "", "false"), NUMBER, [1.0, None, 0.0]),
    Case("decimals", table_of(pa.array([12, 7]).cast(pa.decimal128(20, 0))), CLICK, ["12", "7"]),
    Case("a dictionary of numbers", table_of(pa.array([12, 7, 12]).dictionary_encode()), CLICK, ["12", "7", "12"]),
    Case("nulls alone", table_of([None, None], pa.null()), CLICK, [None, None]),
    Case("dates", table_of([0], pa.date32()), CLICK, ["1970-01-01"]),
    Case("times in seconds", table_of([0], pa.timestamp("s")), CLICK, ["1970-01-01 00:00:00"]),
    Case("times in nanoseconds", table_of([0], pa.timestamp("ns")), CLICK, ["1970-01-01 00:00:00"]),
    Case("durations", table_of([0], pa.duration("s")), CLICK, "holds duration.*cannot be read"),
    Case("structs", table_of([{"b": 1}]), CLICK, "holds struct.*cannot be read"),
    Case("string views", table_of(["x" * 20, None], pa.string_view()), CLICK, ["x" * 20, None]),
    Case("binary views", table_of([b"x", None], pa.binary_view()), CLICK, ["x", None]),
    Case("large binary", table_of([b"x", None], pa.large_binary()), CLICK, ["x", None]),
    Case("fixed binary", table_of([b"ab", None], pa.binary(2)), CLICK, ["ab", None]),
    Case("binary, no UTF-8", table_of([b"ok", b"\xff"], pa.binary()), CLICK, "row 2, column 'a': expected UTF-8 text"),
    Case("text numbers in views", table_of(["1.5", ""], pa.string_view()), NUMBER, [1.5, None]),
]

NUMBERS = [
    Case("money", csv_of('"$4,532.50"'), NUMBER, r"line 2, column 'a': expected a finite number, got '\$4,532.50'"),
    Case("percent", csv_of("5%"), NUMBER, "got '5%'.*categorical"),
    Case("nan(1) alone", csv_of("nan(1)"), NUMBER, r"got 'nan\(1\)'"),
    Case("nan(1) beside a bad one", csv_of("nan(1)", "x"), NUMBER, r"line 2, column 'a'.*got 'nan\(1\)'"),
    Case("nan(1) beside good ones", csv_of("nan(1)", "2", " 3 "), NUMBER, r"line 2, column 'a'.*got 'nan\(1\)'"),
    Case("NaN", csv_of("NaN", "-nan", "nan"), NUMBER, [None, None, None]),
    Case("blanks", csv_of("  ", " 3"), NUMBER, [None, 3.0]),
    Case("NULL", csv_of("NULL", "3"), NUMBER, "got 'NULL'.*\"missing_values\""),
    Case("infinity", csv_of("inf"), NUMBER, "finite number, got 'inf'"),
    Case("beyond floats", csv_of("1e400"), NUMBER, "finite number, got '1e400'"),
    Case("beyond float32", csv_of("1e39"), NUMBER, [1e39]),
    Case("signs and points", csv_of("+1", ".5", "1.", "-1e-3"), NUMBER, [1.0, 0.5, 1.0, -0.001]),
    Case("hexadecimal", csv_of("0x1F"), NUMBER, "got '0x1F'"),
    Case("no number in most rows", csv_of("x", "z", "w"), NUMBER, "3 of 3 rows looked at are bad, too many.*'w'"),
] + [
    Case(
        f"{text} as a missing value",
        csv_of(text, f" {text}", "3"),
        Schema(NUMBER.features, "y", missing_values=("", text)),
        [None, None, 3.0],
    )
    for text in ("NULL", "\\N", "None", "-", "?", "NA", "#N/A")
]
MARKED = Schema((Feature("a", "categorical"), Feature("b", "multi_valued")), "y", missing_values=("", "NULL"))
NUMBERS += [
    Case("missing in text", "a,b,y\nNULL,x|NULL,1\nz,NULL,0\n", MARKED, [None, "z"]),
    Case(
        "missing in Parquet",
        table_of(["NULL", "z"]).append_column("b", pa.array([["NULL"], None])),
        MARKED,
        [None, "z"],
    ),
    Case("missing told to the reader", csv_of("-", "x"), CLICK, [None, "x"], {"missing_values": ["-"]}),
]

LABEL_FILES = [
    Case("0 and 1", labels_of("0", "1", "1.0", "0.0"), CLICK, [0, 1, 1, 0], {}, LABELS),
    Case("true and false", labels_of("true", "False", "TRUE"), CLICK, [1, 0, 1], {}, LABELS),
    Case("booleans", pa.table({"a": ["u", "v"], "y": [True, False]}), CLICK, [1, 0], {}, LABELS),
    Case("-1 and 1", labels_of("-1", "1"), CLICK, 'got \'-1\'.*"positive": "1" into the schema', {}, LABELS),
    Case("-1 and 1, told", labels_of("-1", "1", "1.0"), positive("1"), [0, 1, 1], {}, LABELS),
    Case("-1 and 1 in Parquet", pa.table({"a": ["u", "v"], "y": [-1, 1]}), CLICK, '"positive": "1"', {}, LABELS),
    Case("the same, told", pa.table({"a": ["u", "v"], "y": [-1, 1]}), positive("1"), [0, 1], {}, LABELS),
    Case("the same as floats", pa.table({"a": ["u", "v"], "y": [-1.0, 1.0]}), positive("1"), [0, 1], {}, LABELS),
    Case("1 and 2", labels_of("1", "2"), CLICK, '"positive": "2"', {}, LABELS),
    Case("yes and no", labels_of("no", "yes"), CLICK, 'got \'no\'.*"positive": "yes" into the schema', {}, LABELS),
    Case("yes and no, told", labels_of("no", "yes", " yes "), positive("yes"), [0, 1, 1], {}, LABELS),
    Case("Y and N", labels_of("N", "Y"), CLICK, '"positive": "Y" into the schema', {}, LABELS),
    Case("words", labels_of("skip", "tap"), CLICK, 'means a click .*"positive": "tap"', {}, LABELS),
    Case("words, told", labels_of("skip", "tap"), positive("tap"), [0, 1], {}, LABELS),
    Case("a word that is none", labels_of("no", "yes"), positive("Yes"), "no row's label 'y' is 'Yes'.*'no', 'yes'"),
    Case("a word for numbers", pa.table({"a": ["u"], "y": [1]}), positive("yes"), "holds int64, and none of these is"),
    Case("ratings", labels_of("3", "5", "1"), CLICK, 'got \'3\'.*"positive": ">= 4"', {}, LABELS),
    Case("ratings, told", labels_of("3", "5", "4"), positive(">= 4"), [0, 1, 1], {}, LABELS),
    Case("less", labels_of("3", "2.5"), positive("< 3"), [0, 1], {}, LABELS),
    Case("equal", labels_of("3", "5.0"), positive("== 5"), [0, 1], {}, LABELS),
    Case("seconds", labels_of("0", "12.5"), positive("> 0"), [0, 1], {}, LABELS),
    Case("seconds in Parquet", pa.table({"a": ["u", "v"], "y": [0.0, 2.5]}), positive("> 0"), [0, 1], {}, LABELS),
    Case("a threshold and a word", labels_of("3", "x", "5"), positive(">= 4"), "line 3, column 'y'.*got 'x'"),
    Case("a threshold never met", labels_of("3", "2"), positive(">= 40"), "no row's label 'y' is '>= 40'"),
    Case("numbers of clicks", labels_of("0", "17"), CLICK, '"positive": "> 0".*"impressions"', {}, LABELS),
    Case("empty", labels_of("1", "", "0", "1"), CLICK, "line 3, column 'y': the label is empty", {}, LABELS),
    Case("empty, compared", labels_of("5", "", "0", "1"), positive("> 4"), "line 3, column 'y': the label is empty"),
    Case("empty, word", labels_of("yes", " ", "no", "no"), positive("yes"), "line 3, column 'y': the label is empty"),
    Case("null in Parquet", pa.table({"a": ["u", "v", "w"], "y": [1, None, 0]}), CLICK, "row 2.*the label is empty"),
    Case("probabilities", labels_of("0.25", "1"), CLICK, "got '0.25'.*\"soft_label\": true", {}, LABELS),
    Case("soft", labels_of("0.25", "1"), Schema(CLICK.features, "y", soft_label=True), [0.25, 1], {}, LABELS),
    Case(
        "soft, beyond", labels_of("0.2", "1.5"), Schema(CLICK.features, "y", soft_label=True), "from 0 to 1, got '1.5'"
    ),
    Case("impressions", "a,y,n\nu,1,4\nv,0,2\n", SHOWN, [0.25, 0], {}, LABELS),
    Case("their weights", "a,y,n\nu,1,4\nv,0,2\n", SHOWN, [4, 2], {}, ("n",)),
    Case("no impression", "a,y,n\nu,0,0\nv,1,2\n", SHOWN, [0, 0.5], {}, LABELS),
    Case("more clicks than impressions", "a,y,n\nu,1,4\nv,3,2\n", SHOWN, "line 3, column 'y'.*got 3 clicks of 2"),
    Case("negative clicks", "a,y,n\nu,-1,4\nv,1,2\n", SHOWN, "line 2, column 'y'.*got -1 clicks of 4"),
    Case("no number of impressions", "a,y,n\nu,1,\nv,1,2\n", SHOWN, "line 2, column 'n'.*got nothing"),
    Case("no number of clicks", "a,y,n\nu,,4\nv,1,2\n", SHOWN, "line 2, column 'y': the label is empty"),
    Case(
        "impressions and weights",
        "a,y,n,w\nu,1,4,0.5\nv,0,2,3\n",
        Schema(CLICK.features, "y", impressions="n", weight="w"),
        [2, 6],
        {},
        ("w",),
    ),
    Case("no column of impressions", "a,y\nu,1\n", SHOWN, "column 'n' is not in the file"),
    Case("weight beyond float32", "a,y,w\nu,1,1\nv,0,1e39\n", WEIGHTED, "line 3, column 'w'.*float32 holds.*'1e39'"),
    Case("infinite weight", "a,y,w\nu,1,1\nv,0,inf\n", WEIGHTED, "line 3, column 'w'.*got 'inf'"),
    Case("weights all 0", "a,y,w\n" + "u,1,0\n" * 20, WEIGHTED, "weights 'w' of the training rows are all 0"),
    Case("weights too small", "a,y,w\n" + "u,1,1e-60\n" * 20, WEIGHTED, "are all 0 .in float32."),
]

VALUES = [["x", "z"], None, [], ["w", None]]
READ = [["x", "z"], None, [], ["w", None]]
PAIRS, PAIRS_READ = [["x", "z"], None, ["w", None]], [["x", "z"], None, ["w", None]]
LIST_FILES = [
    Case(str(kind), table_of(VALUES, kind), TAGS, READ)
    for kind in (
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.large_list(pa.string()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
        pa.list_(pa.string_view()),
        pa.large_list(pa.string_view()),
        pa.list_view(pa.string()),
        pa.large_list_view(pa.string_view()),
        pa.list_(pa.binary()),
    )
] + [
    Case("fixed-size lists with a null row", table_of(PAIRS, pa.list_(pa.string(), 2)), TAGS, PAIRS_READ),
    Case("lists of numbers", table_of([[2**60, None], [7]]), TAGS, [[str(2**60), None], ["7"]]),
    Case("lists of floats", table_of([[1.0, 2.5], None]), TAGS, [["1", "2.5"], None]),
    Case("lists of nothing", table_of([[], None], pa.list_(pa.null())), TAGS, [[], None]),
    Case(
        "lists, no UTF-8", table_of([[b"a"], [b"b", b"\xff"]], pa.list_(pa.binary())), TAGS, "row 2, column 'a'.*UTF-8"
    ),
    Case("lists of lists", table_of([[["x"]]]), TAGS, "cannot be read as a value"),
    Case("lists in one value", table_of([["x"]]), CLICK, 'declare its kind "multi_valued"'),
    Case("lists of JSON", csv_of('"[""news"", ""food""]"', "[]", ""), LISTS, [["news", "food"], [], None]),
    Case("lists of Python", csv_of("\"['a', 'b']\"", "[1]"), LISTS, [["a", "b"], ["1"]]),
    Case("quotes inside", csv_of('"[""it\'s"", \'say ""x""\']"'), LISTS, [["it's", 'say "x"']]),
    Case("escapes", csv_of(r"['\u00e9\n\'']"), LISTS, [["é\n'"]]),
    Case("commas inside", csv_of("\"['a, b', 'c']\""), LISTS, [["a, b", "c"]]),
    Case("None inside", csv_of('"[None, ""a"", null]"'), LISTS, [["a"]]),
    Case("bare words", csv_of('"[news, food]"'), LISTS, [["news", "food"]]),
    Case("NumPy's lists", csv_of("['a' 'b']", "[1 2\n 3]".replace("\n", " ")), LISTS, [["a", "b"], ["1", "2", "3"]]),
    Case("NumPy's values", csv_of("\"[np.str_('a'), np.int64(3)]\""), LISTS, [["a", "3"]]),
    Case("a tuple", csv_of("\"('a', 'b')\""), LISTS, [["a", "b"]]),
    Case("NumPy's cut lists", csv_of("[1 2 ... 9]"), LISTS, "line 2, column 'a': expected a list in brackets"),
    Case("code in a list", csv_of("[__import__('os').system('x')]"), LISTS, "expected a list in brackets"),
    Case("a list not closed", csv_of("['a'", "[1]", "[2]", "[3]"), LISTS, "line 2, column 'a': expected a list in br"),
    Case("no brackets", csv_of("a|b", "c"), LISTS, "got 'a.b'.*Leave \"list_format\""),
    Case("brackets where none are told", csv_of("['a']", "[]"), TAGS, '"list_format": "brackets" into feature \'a\''),
    Case("lists in Parquet whatever is told", table_of([["a"], None]), LISTS, [["a"], None]),
]


def lines_of(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


JSON_FILES = [
    Case("lines", lines_of({"a": "x", "y": 1}, {"y": 0, "b": {}}), CLICK, ["x", None]),
    Case("lines in gzip", gzip.compress(lines_of({"a": "x", "y": 1}).encode()), CLICK, ["x"]),
    Case("numbers", lines_of({"a": 2**60, "y": 1}, {"a": 12, "y": False}), CLICK, [str(2**60), "12"]),
    Case("numeric", lines_of({"a": 1.5, "y": 1}, {"a": "2", "y": 0}, {"a": None, "y": 0}), NUMBER, [1.5, 2.0, None]),
    Case("NaN", '{"a": NaN, "y": 1}\n{"a": 1, "y": 0}\n', NUMBER, [None, 1.0]),
    Case("lists", lines_of({"a": ["x", 3, None], "y": 1}, {"a": "p|q", "y": 0}), TAGS, [["x", "3", None], ["p", "q"]]),
    Case(
        "a list in one value", lines_of({"a": ["x"], "y": 1}, {"a": "x", "y": 1}), CLICK, "line 1: column 'a' holds a l"
    ),
    Case(
        "an object",
        lines_of({"a": "x", "y": 1}, {"a": {}, "y": 1}, {"a": "x", "y": 1}),
        CLICK,
        "line 2.*holds an object",
    ),
    Case(
        "a broken line",
        '{"a": "x", "y": 1}\n{"a"\n{"a": "z", "y": 0}\n',
        CLICK,
        "line 2: the line is not a JSON object",
    ),
    Case(
        "a bad value", lines_of({"a": "x", "y": 1}, {"a": "z", "y": 5}, {"a": "x", "y": 0}), CLICK, "line 2, column 'y'"
    ),
    Case("separated lists", lines_of({"a": "p|q", "y": 1}, {"a": "", "y": 0}), TAGS, [["p", "q"], None]),
    Case("lists in brackets", lines_of({"a": '["p", 3]', "y": 1}, {"a": ["q"], "y": 0}), LISTS, [["p", "3"], ["q"]]),
    Case(
        "brackets never told",
        lines_of({"a": '["p"]', "y": 1}, {"y": 0}),
        TAGS,
        'line 1, column \'a\'.*"list_format": "br',
    ),
    Case(
        "no brackets", lines_of({"a": "[p]", "y": 1}, {"a": "p", "y": 0}), LISTS, "line 2: column 'a' is not a list in"
    ),
    Case("half a letter", '{"a": "\\ud800", "y": 1}\n', TAGS, "line 1: column 'a' holds half a letter"),
    Case("a key of later rows", '{"y": 1}\n' * 300_000 + '{"a": "x", "y": 0}\n', CLICK, "looked for in the first rows"),
    Case("no such key", lines_of({"b": "x", "y": 1}), CLICK, "column 'a' is not in the file"),
    Case("one array", json.dumps([{"a": "x", "y": 1}]), CLICK, "is one JSON array. Write JSON lines"),
    Case(
        "objects over several lines",
        json.dumps({"a": "x", "y": 1}, indent=1),
        CLICK,
        "JSON, but not with one object a l",
    ),
    Case("skipped", '{"a": "x", "y": 1}\n{"a"\n{"a": "z", "y": 0}\n', CLICK, ["x", "z"], {"on_bad_row": "skip"}),
]

CASES = {
    f"{group}: {case.name}": case
    for group, cases in {
        "file": FILES,
        "whole": WHOLE,
        "number": NUMBERS,
        "label": LABEL_FILES,
        "list": LIST_FILES,
        "json": JSON_FILES,
    }.items()
    for case in cases
}


def test_there_are_enough_of_them():
    assert len(CASES) >= 120
    assert len(CASES) == sum(map(len, (FILES, WHOLE, NUMBERS, LABEL_FILES, LIST_FILES, JSON_FILES)))


@pytest.mark.parametrize("name", CASES)
def test_gives_the_right_values_or_says_what_makes_it_work(tmp_path, name):
    case = CASES[name]
    path = tmp_path / "rows.txt"
    if isinstance(case.data, pa.Table):
        try:
            pq.write_table(case.data, path)
        except pa.ArrowNotImplementedError:
            pytest.skip("This pyarrow cannot write such a file.")
    else:
        path.write_bytes(case.data if isinstance(case.data, bytes) else case.data.encode())

    def read() -> list[Any]:
        source = TabularFile(path, case.schema, splits={"train": 0.999, "test": 0.001}, **case.options)
        rows = [row for batch in source.batches() for row in batch.columns.to_pylist()]
        return [row[column] for row in rows for column in case.columns]

    if isinstance(case.expected, str):
        with pytest.raises(ValueError, match="(?s)" + case.expected) as caught:
            read()
        assert str(path) in str(caught.value) or "encoding" in str(caught.value) or "column_names" in str(caught.value)
    else:
        found = read()
        expected = case.expected
        assert found == (pytest.approx(expected) if case.columns == LABELS else expected)
