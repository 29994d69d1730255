"""Files are what is in them, whatever their size and date say."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from dynctr_tf.datasets import source_files as module
from dynctr_tf.datasets.source_files import source_files


def test_a_file_is_what_is_in_it(tmp_path: Path) -> None:
    file, notes = tmp_path / "clicks.csv", tmp_path / "notes"
    file.write_bytes(b"a,b\n1,2\n")
    (found,) = source_files([file], notes)
    assert found.path == str(file.resolve()) and found.size == 8
    assert found.digest == hashlib.sha256(b"a,b\n1,2\n").hexdigest()


@pytest.mark.parametrize("settled", [0.0, 1e9])
def test_other_content_of_equal_size_and_date_is_noticed(
    tmp_path: Path, settled: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the digest was noted, or not because the file had just been written."""
    monkeypatch.setattr(module, "_SETTLED_SECONDS", settled)
    file, notes = tmp_path / "clicks.csv", tmp_path / "notes"
    file.write_bytes(b"a,b\n1,2\n")
    os.utime(file, (1e9, 1e9))
    (first,) = source_files([file], notes)
    assert (notes / "source-files.json").exists() == (settled == 0.0)
    file.write_bytes(b"a,b\n2,1\n")
    os.utime(file, (1e9, 1e9))
    (second,) = source_files([file], notes)
    assert (first.size, first.modified) == (second.size, second.modified) and first.digest != second.digest


def test_what_was_noted_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLED_SECONDS", 0.0)
    file, notes = tmp_path / "clicks.csv", tmp_path / "notes"
    file.write_bytes(b"rows")
    first = source_files([file], notes)
    read: list[str] = []
    digest = module._digest
    monkeypatch.setattr(module, "_digest", lambda path, *rest: read.append(path) or digest(path, *rest))
    assert source_files([file], notes) == first and not read
    # Notes that are damaged are none.
    for damaged in ("{", "[1]", json.dumps({str(file.resolve()): 5})):
        (notes / "source-files.json").write_text(damaged, encoding="utf-8")
        read.clear()
        assert source_files([file], notes) == first and read == [str(file.resolve())]


def test_a_file_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere.csv: there is no such file"):
        source_files([tmp_path / "nowhere.csv"], tmp_path)
