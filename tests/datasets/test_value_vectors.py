"""Vectors of values: every kind of file gives the same, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from dynctr_tf.datasets import ValueVectors, read_value_vectors, write_value_vectors
from dynctr_tf.datasets.value_vectors import vector_size

KEYS = ["red", "7", "light blue", "grün"]
NUMBERS = np.arange(12, dtype=np.float32).reshape(4, 3) / 7


def npy(folder: Path) -> Path:
    np.save(folder / "colours.npy", NUMBERS.astype(np.float64))
    (folder / "colours.keys.txt").write_text("\n".join(KEYS) + "\n", encoding="utf-8")
    return folder / "colours.npy"


def lists(folder: Path, keys: Any = KEYS) -> Path:
    pa.parquet.write_table(pa.table({"id": [1] * 4, "vector": NUMBERS.tolist(), "key": keys}), folder / "lists.parquet")
    return folder / "lists.parquet"


def columns(folder: Path) -> Path:
    table = pa.table({"colour": KEYS, **{f"d{i}": NUMBERS[:, i] for i in range(3)}})
    pa.parquet.write_table(table, folder / "columns.parquet")
    return folder / "columns.parquet"


def word2vec(folder: Path, header: str = "4 3\n") -> Path:
    lines = [
        f"{key} {' '.join(repr(float(number)) for number in row)} \n" for key, row in zip(KEYS, NUMBERS, strict=True)
    ]
    (folder / "colours.txt").write_text(header + "".join(lines), encoding="utf-8")
    return folder / "colours.txt"


def written(folder: Path) -> Path:
    write_value_vectors(folder / "written.parquet", ValueVectors(pa.array(KEYS), NUMBERS))
    return folder / "written.parquet"


@pytest.mark.parametrize("make", [npy, lists, columns, word2vec, written])
def test_every_kind_of_file_gives_the_same(make: Any, tmp_path: Path) -> None:
    path = make(tmp_path)
    vectors = read_value_vectors(path)
    assert vectors.keys.to_pylist() == KEYS
    np.testing.assert_allclose(vectors.vectors, NUMBERS, rtol=1e-6)
    assert vectors.vectors.dtype == np.float32 and vector_size(path) == 3


def test_text_without_a_first_line_and_whole_numbers_as_keys(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("the 0.5 1\nof 2 -3e-1\n", encoding="utf-8")
    assert read_value_vectors(tmp_path / "glove.txt").vectors.tolist() == [[0.5, 1.0], [2.0, np.float32(-0.3)]]
    assert read_value_vectors(lists(tmp_path, [4, 3, 2, 1])).keys.to_pylist() == ["4", "3", "2", "1"]
    categories = pa.array(KEYS).dictionary_encode()
    assert read_value_vectors(lists(tmp_path, categories)).keys.to_pylist() == KEYS
    (tmp_path / "phones.txt").write_text("2 1\niphone 7 1\na\u00a0b 2\n", encoding="utf-8")
    assert read_value_vectors(tmp_path / "phones.txt").keys.to_pylist() == ["iphone 7", "a\u00a0b"]
    # Blanks that are not of ASCII belong to a key; files of fastText have such keys.
    (tmp_path / "words.vec").write_text("\ufeffNew\u00a0York 1 2\n\u3000 3 4\r\n", encoding="utf-8")
    assert read_value_vectors(tmp_path / "words.vec").keys.to_pylist() == ["New\u00a0York", "\u3000"]


def refused(path: Path, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        read_value_vectors(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"2 3\na 1 2 3\nb 1 2\n", "line 3 has 2 numbers after its key, expected 3"),
        (b"1 99999999999999999999\na 1 2\n", "line 2 has 2 numbers after its key, expected 9+"),
        (b"a\nb\n", "line 1 has 0 numbers after its key, expected one or more"),
        (b"a 1 two 3\n", "line 1 should have 3 numbers after its key: 'a 1 two 3'"),
        (b"a 1 2\nb nan 1\n", "1 vectors have numbers that are not finite in float32, such as that of 'b'"),
        (b"a 1 2\nb 1 1e39\n", "not finite in float32, such as that of 'b'"),
        (b"a 1 2\na 1 3\n", "1 keys come more than once, such as 'a'"),
        (b"a 1 2\nb 1 2 3\n", "line 2 has more numbers than the 2 of the lines before.*write a first line"),
        (b"3 2\na 1 2\nb 1 2\n", "announces 3 values, and it has 2"),
        (b"", "at least one"),
        (b"2 2\na " + np.array([0.1, -0.7], np.float32).tobytes(), "binary format of word2vec is not read"),
    ],
)
def test_what_is_wrong_in_a_text_is_named_with_the_file(text: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_bytes(text)
    refused(tmp_path / "vectors.txt", words)


@pytest.mark.parametrize(
    ("numbers", "keys", "words"),
    [
        (np.ones((4, 3)), b"red\n7\n", r"2 keys and vectors of the shape \(4, 3\)"),
        (np.ones((4, 3)), None, r"colours\.keys\.txt beside it"),
        (np.ones((1, 3)), b"gr\xfcn\n", r"colours\.keys\.txt must be text in UTF-8"),
        (np.array([["a"]]), b"a\n", "must hold real numbers"),
        (np.ones(1), b"a\n", r"vectors of the shape \(1,\)"),
        (np.array(1.0), b"a\n", r"vectors of the shape \(\)"),
    ],
)
def test_what_is_wrong_in_npy_is_named_with_the_file(
    numbers: np.ndarray, keys: bytes | None, words: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "colours.npy", numbers)
    if keys is not None:
        (tmp_path / "colours.keys.txt").write_bytes(keys)
    refused(tmp_path / "colours.npy", words)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"key": pa.array([], pa.string()), "vector": pa.array([], pa.list_(pa.float32()))}), "no rows"),
        (pa.table({"key": ["a", "b", "a", "b"], "d": [1.0] * 4}), "2 keys come more than once, such as '[ab]'"),
        (pa.table({"key": ["a", None], "d": [1.0, 2.0]}), "1 of the 2 keys are missing"),
        (pa.table({"key": [0.5], "d": [1.0]}), "texts or whole numbers as keys, got double"),
        (pa.table({"key": ["a"]}), "has the column 'key' alone"),
        (pa.table([["a"], [1.0], [2.0]], names=["key", "d", "d"]), '"d" exists 2 times'),
        (pa.table({"key": ["a"], "d0": [1.0], "d1": ["x"]}), "column 'd1' must hold numbers, got string"),
        (pa.table({"key": ["a"], "vector": [[1e300]]}), "not finite in float32, such as that of 'a'"),
        (pa.table({"key": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}), "one length, got those of 1, 2"),
        (pa.table({"key": ["a", "b"], "vector": [[1.0, None], [1.0, 2.0]]}), "1 numbers .* 'vector' are missing"),
        (pa.table({"key": ["a", "b"], "vector": [None, [1.0, 2.0]]}), "one length, got those of no list, 2"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_wrong_in_parquet_is_named_with_the_file(table: pa.Table, words: str, tmp_path: Path) -> None:
    pa.parquet.write_table(table, tmp_path / "vectors.parquet")
    refused(tmp_path / "vectors.parquet", words)


def test_files_that_are_absent_or_cut_short_or_have_another_name_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.npy", "no such file of vectors")
    (tmp_path / "half.parquet").write_bytes(lists(tmp_path).read_bytes()[:90])
    refused(tmp_path / "half.parquet", "half.parquet: ")
    with pytest.raises(ValueError, match="must end in '.parquet'"):
        write_value_vectors(tmp_path / "x.npy", ValueVectors(pa.array(KEYS), NUMBERS))
