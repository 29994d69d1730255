"""Files that are whole or not there, whose damage is noticed, and of which abandoned ones are removed."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynctr_tf import durable_files
from dynctr_tf.durable_files import (
    BusyError,
    DamagedFileError,
    check_checksums,
    checksum_of,
    file_checksum,
    new_file,
    new_folder,
    only_process,
    read_array,
    read_json,
    remove_abandoned,
    write_array,
    write_bytes,
    write_checksums,
    write_json,
    write_text,
)
from dynctr_tf.jobs.settings import job_settings
from dynctr_tf.jobs.settings_file import read_file, write_settings

ROOT = Path(__file__).parent.parent


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_in_one_move_with_everybodys_rights(tmp_path: Path) -> None:
    file = tmp_path / "a[1]\\é.txt"
    write_text(file, "old\n")
    with pytest.raises(KeyError), new_file(file) as partial:
        partial.write_text("half", encoding="utf-8")
        assert file.read_text(encoding="utf-8") == "old\n" and partial.suffix == ".txt"
        raise KeyError
    assert names(tmp_path) == [file.name] and file.read_text(encoding="utf-8") == "old\n"
    write_bytes(file, b"new")
    assert file.read_bytes() == b"new" and names(tmp_path) == [file.name]
    mask = os.umask(0)
    os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_folder_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "more" / "folder"
    with pytest.raises(KeyError), new_folder(target) as partial:
        (partial / "a").write_text("half", encoding="utf-8")
        raise KeyError
    assert names(tmp_path / "more") == []
    with new_folder(target) as partial:
        (partial / "b").mkdir()
        (partial / "b" / "a").write_text("whole", encoding="utf-8")
        assert not target.exists()
    assert (target / "b" / "a").read_text(encoding="utf-8") == "whole"
    with pytest.raises(FileExistsError, match=r"exists already: .*folder'"), new_folder(target):
        pass
    assert names(tmp_path / "more") == ["folder"]


def test_everything_is_synced_before_it_is_renamed_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def noted_fsync(descriptor: int) -> None:
        done.append(f"sync {os.path.relpath(Path(f'/proc/self/fd/{descriptor}').readlink(), tmp_path)}")
        fsync(descriptor)

    def noted_replace(old: Any, new: Any) -> None:
        done.append(f"rename {Path(new).name}")
        replace(old, new)

    def noted_rename(old: Any, new: Any) -> None:
        done.append(f"rename {Path(new).name}")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    monkeypatch.setattr(os, "rename", noted_rename)
    write_text(tmp_path / "file.csv", "x")
    assert [line.split(".")[0] for line in done] == ["sync file", "rename file", "sync "]
    done.clear()
    with new_folder(tmp_path / "made" / "folder") as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "a").touch()
    short = [line.replace(partial.name, "PARTIAL") for line in done]
    assert short == [
        "sync .",
        "sync made/PARTIAL/inner/a",
        "sync made/PARTIAL/inner",
        "sync made/PARTIAL",
        "rename folder",
        "sync made",
    ]


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(
    operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log.csv"
    write_text(file, "old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, operation, full)
    with pytest.raises(OSError, match=r"No space left on device: '.*log.*csv'"):
        write_text(file, "new")
    assert file.read_text(encoding="utf-8") == "old" and names(tmp_path) == ["log.csv"]


def test_a_full_disk_is_named() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with (
        pytest.raises(OSError, match=r"No space left on device: 'result.json'"),
        durable_files._naming(Path("result.json")),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        durable_files._write_all(file, b"x" * 100)


RECORD = {"score": 0.1 + 0.2, "of": [1, 2.5e-300, None, True], "name": "类目 \udc80", "more": {"b": 1, "a": 2**70}}


def test_json_goes_round_and_knows_no_bare_nan(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_json(file, RECORD)
    assert read_json(file) == RECORD
    write_json(file, {"nan": math.nan, "of": (math.inf, -math.inf), 3: 1})
    assert read_json(file) == {"nan": "NaN", "of": ["Infinity", "-Infinity"], "3": 1}
    assert math.isnan(float(read_json(file)["nan"]))
    plain = json.loads(file.read_text(encoding="utf-8"), parse_constant=lambda _: pytest.fail("a bare NaN"))
    assert list(plain)[-1] == "checksum"


def flips(content: bytes) -> list[bytes]:
    """The content with each of its bits flipped, one at a time."""
    found = []
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            found.append(bytes(changed))
    return found


def test_each_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    record = {"score": 0.25, "of": [1, None, True], "name": "é"}
    array = np.linspace(-1, 1, 7)
    settings = {"training": {"epochs": 2}, "model": {"name": "dnn"}}
    write_json(tmp_path / "a.json", record)
    write_array(tmp_path / "a.npy", array)
    write_settings(tmp_path / "a.toml", job_settings(settings))
    assert np.array_equal(np.load(tmp_path / "a.npy"), array) and np.array_equal(read_array(tmp_path / "a.npy"), array)
    assert read_file(tmp_path / "a.toml") == settings
    noticed = 0
    for name, read, expected in (
        ("a.json", read_json, record),
        ("a.npy", lambda file: read_array(file).tolist(), array.tolist()),
        ("a.toml", read_file, settings),
    ):
        file = tmp_path / name
        content = file.read_bytes()
        cut = [content[:size] for size in range(len(content))]
        for changed in [*flips(content), *cut]:
            file.write_bytes(changed)
            try:
                assert read(file) == expected, changed
            except ValueError as error:
                # A flip in the mark of the checksum's line leaves no TOML.
                assert isinstance(error, DamagedFileError) or (name == "a.toml" and "is not TOML" in str(error))
                noticed += 1
                assert str(file) in str(error)
    assert noticed > 3000


def test_a_folder_has_checksums(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    content = np.arange(3_000_000, dtype="<i4").tobytes()  # more than one piece
    (tmp_path / "inner" / "block").write_bytes(content)
    (tmp_path / "empty").touch()
    assert file_checksum(tmp_path / "inner" / "block") == checksum_of(content)
    write_checksums(tmp_path)
    check_checksums(tmp_path)
    (tmp_path / "inner" / "block").write_bytes(content[:-1] + b"x")
    with pytest.raises(DamagedFileError, match=r"inner/block is damaged: its content .* Encode again\."):
        check_checksums(tmp_path, "Encode again.")
    (tmp_path / "inner" / "block").write_bytes(content[:-1])
    with pytest.raises(DamagedFileError, match=r"block is damaged: it has 11,999,999 bytes in place of 12,000,000"):
        check_checksums(tmp_path)
    (tmp_path / "inner" / "block").unlink()
    with pytest.raises(DamagedFileError, match=r"block is absent"):
        check_checksums(tmp_path)
    (tmp_path / "checksums.json").write_bytes(b"")
    with pytest.raises(DamagedFileError, match=r"checksums.json is damaged: it is empty"):
        check_checksums(tmp_path)
    (tmp_path / "checksums.json").unlink()
    with pytest.raises(DamagedFileError, match=r"checksums.json is absent"):
        check_checksums(tmp_path)


LEAVE = """
import os, sys
from dynctr_tf.durable_files import new_file, new_folder, only_process
with new_file(sys.argv[1] + "/log.csv") as file, new_folder(sys.argv[1] + "/data") as folder:
    with only_process(sys.argv[1] + "/lock", "writes"):
        file.write_text("half")
        (folder / "half").touch()
        print("ready", flush=True)
        sys.stdin.readline()
        os._exit(9)
"""


def test_what_dead_processes_left_is_removed_and_what_live_ones_write_is_not(tmp_path: Path) -> None:
    for name in ("data-1.unfinished-abcd_f1x", ".partial-u_x8k3ab"):  # as earlier versions called them
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / "clicks.unfinished").touch()
    command = [sys.executable, "-c", LEAVE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert {path.name for path in remove_abandoned(tmp_path)} == {"data-1.unfinished-abcd_f1x", ".partial-u_x8k3ab"}
        kept = [name for name in names(tmp_path) if ".unfinished-" in name]
        assert len(kept) == 2
        with (
            pytest.raises(BusyError, match=rf"Another process \(process {process.pid} on .*\) writes; wait"),
            only_process(tmp_path / "lock", "writes", wait_seconds=0.0),
        ):
            pass
        process.stdin.write(b"\n")
        process.stdin.flush()
        with only_process(tmp_path / "lock", "writes", wait_seconds=None):  # waits for its end
            assert process.wait() == 9
    assert [path.name for path in remove_abandoned(tmp_path)] == kept
    assert names(tmp_path) == ["clicks.unfinished", "lock"] and remove_abandoned(tmp_path / "none") == []


def test_a_lock_is_not_held_twice_by_a_process(tmp_path: Path) -> None:
    with (
        only_process(tmp_path / "lock", "trains"),
        pytest.raises(BusyError, match="This process already trains"),
        only_process(tmp_path / "." / "lock", "trains", wait_seconds=None),
    ):
        pass
    with only_process(tmp_path / "lock", "trains"):
        pass


@pytest.mark.parametrize(
    "place", ["gs://bucket/runs", Path("s3://bucket/runs"), "hdfs://host/runs", "file:///tmp/runs"]
)
def test_a_uri_is_no_place_to_write_to(place: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"go to folders of this machine alone"):
        durable_files.make_folder(place)
    assert not list(tmp_path.iterdir())
    (tmp_path / "a:").mkdir()  # an odd name, and no URI
    durable_files.make_folder("a:/runs")
