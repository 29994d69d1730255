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


def test_what_is_wrong_is_named_with_the_file(tmp_path: Path) -> None:
    def refused(path: Path, words: str) -> None:
        with pytest.raises(ValueError, match=words) as error:
            read_value_vectors(path)
        assert str(path) in str(error.value)

    refused(tmp_path / "none.npy", "no such file of vectors")
    path = npy(tmp_path)
    (tmp_path / "colours.keys.txt").write_text("red\n7\n", encoding="utf-8")
    refused(path, "2 keys and vectors of the shape")
    (tmp_path / "colours.keys.txt").unlink()
    refused(path, r"colours\.keys\.txt beside it")
    refused(lists(tmp_path, ["a", "b", "a", "b"]), "2 keys come more than once, such as '[ab]'")
    refused(lists(tmp_path, ["a", None, "c", "d"]), "1 of the 4 keys are missing")
    refused(lists(tmp_path, [0.5, 1.5, 2.5, 3.5]), "texts or whole numbers as keys, got double")
    pa.parquet.write_table(pa.table({"key": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}), tmp_path / "ragged.parquet")
    refused(tmp_path / "ragged.parquet", "one length")
    (tmp_path / "short.txt").write_text("2 3\na 1 2 3\nb 1 2\n", encoding="utf-8")
    refused(tmp_path / "short.txt", "line 3 has 2 numbers after its key, expected 3")
    (tmp_path / "words.txt").write_text("a 1 two 3\n", encoding="utf-8")
    refused(tmp_path / "words.txt", "line 1 should have 3 numbers after its key: 'a 1 two 3'")
    (tmp_path / "nan.txt").write_text("a 1 2\nb nan 1\n", encoding="utf-8")
    refused(tmp_path / "nan.txt", "1 vectors have numbers that are not finite in float32, such as that of 'b'")
    (tmp_path / "large.txt").write_text("a 1 2\nb 1 1e39\n", encoding="utf-8")
    refused(tmp_path / "large.txt", "not finite in float32, such as that of 'b'")
    (tmp_path / "twice.txt").write_text("a 1 2\na 1 3\n", encoding="utf-8")
    refused(tmp_path / "twice.txt", "1 keys come more than once, such as 'a'")
    (tmp_path / "long.txt").write_text("a 1 2\nb 1 2 3\n", encoding="utf-8")
    refused(tmp_path / "long.txt", "line 2 has more numbers than the 2 of the lines before.*write a first line")
    (tmp_path / "cut.txt").write_text("3 2\na 1 2\nb 1 2\n", encoding="utf-8")
    refused(tmp_path / "cut.txt", "announces 3 values, and it has 2")
    (tmp_path / "keys.txt").write_text("a\nb\n", encoding="utf-8")
    refused(tmp_path / "keys.txt", "line 1 has 0 numbers after its key, expected one or more")
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    refused(tmp_path / "empty.txt", "at least one")
    (tmp_path / "binary.bin").write_bytes(b"2 2\na " + np.array([0.1, -0.7], np.float32).tobytes())
    refused(tmp_path / "binary.bin", "binary format of word2vec is not read")
    np.save(tmp_path / "texts.npy", np.array([["a"]]))
    (tmp_path / "texts.keys.txt").write_text("a\n", encoding="utf-8")
    refused(tmp_path / "texts.npy", "must hold real numbers")
    np.save(tmp_path / "flat.npy", np.ones(1))
    (tmp_path / "flat.keys.txt").write_text("a\n", encoding="utf-8")
    refused(tmp_path / "flat.npy", r"vectors of the shape \(1,\)")
    for name, table, words in (
        (
            "none",
            pa.table({"key": pa.array([], pa.string()), "vector": pa.array([], pa.list_(pa.float32()))}),
            "no rows",
        ),
        ("alone", pa.table({"key": ["a"]}), "has the column 'key' alone"),
        ("text", pa.table({"key": ["a"], "d0": [1.0], "d1": ["x"]}), "column 'd1' must hold numbers, got string"),
        (
            "gap",
            pa.table({"key": ["a", "b"], "vector": [[1.0, None], [1.0, 2.0]]}),
            "1 numbers .* 'vector' are missing",
        ),
        ("gaps", pa.table({"key": ["a", "b"], "vector": [None, [1.0, 2.0]]}), "one length, got those of no list, 2"),
    ):
        pa.parquet.write_table(table, tmp_path / f"{name}.parquet")
        refused(tmp_path / f"{name}.parquet", words)
    (tmp_path / "half.parquet").write_bytes(lists(tmp_path).read_bytes()[:90])
    refused(tmp_path / "half.parquet", "half.parquet: ")
    with pytest.raises(ValueError, match="must end in '.parquet'"):
        write_value_vectors(tmp_path / "x.npy", ValueVectors(pa.array(KEYS), NUMBERS))
