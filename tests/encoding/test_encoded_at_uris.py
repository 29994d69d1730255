"""Encoded data that is copied to a URI: the rows of the local folder, or nothing, whatever ends a copy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shaky_store import Killed, Shaky, contents_at, put

from dynctr_tf.durable_files import DamagedFileError, json_bytes
from dynctr_tf.encoding import EncodedDataset, ValueTally
from dynctr_tf.encoding.encoded_at_uris import check_uri_for_encoded_data, copy_encoded_to_uri, is_encoded_at

URI = "shaky://bucket/encoded/rows-1234abcd"
pytestmark = pytest.mark.usefixtures("shaky_store")


@pytest.fixture
def here(small_data: EncodedDataset, tmp_path: Path) -> Path:
    folder = tmp_path / "here" / "rows-1234abcd"
    shutil.copytree(small_data.directory, folder)
    return folder


def check_same(found: EncodedDataset, expected: EncodedDataset) -> None:
    assert found.fingerprint == expected.fingerprint
    for split in expected.split_names:
        np.testing.assert_array_equal(found.row_keys(split), expected.row_keys(split))
        np.testing.assert_array_equal(found.column(split, "label"), expected.column(split, "label"))
    assert found.encoder().fingerprint == expected.encoder_fingerprint


def folders_at(uri: str) -> set[str]:
    return {name.split("/")[0] for name in contents_at(uri)}


def test_it_is_the_local_data_there_and_in_a_copy_of_it(here: Path, small_data: EncodedDataset, tmp_path: Path) -> None:
    assert not is_encoded_at(URI)
    copy_encoded_to_uri(here, URI)
    assert is_encoded_at(URI) and Shaky.written[-1].endswith("/index.json")
    there = EncodedDataset.open(URI)
    check_same(there, small_data)
    with there.encoder_folder() as folder:
        assert ValueTally.load(folder) is not None and not (folder / "encoder").exists()
    for name, content in contents_at(URI).items():
        path = tmp_path / "copied" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    check_same(EncodedDataset.open(tmp_path / "copied"), small_data)
    assert sorted(path.name for path in here.parent.iterdir()) == ["rows-1234abcd"]
    Shaky.written = []
    copy_encoded_to_uri(here, URI)
    assert Shaky.written == []


@pytest.mark.parametrize("late", [False, True])
def test_a_kill_at_any_operation_leaves_all_or_nothing(
    late: bool, here: Path, small_data: EncodedDataset, tmp_path: Path
) -> None:
    copy_encoded_to_uri(here, URI)
    total = Shaky.operations
    assert total > 8
    ends = {"all": 0, "nothing": 0}
    for number in range(1, total + 1):
        put(URI, {})
        place = tmp_path / str(number) / here.name
        shutil.copytree(here, place)
        Shaky.dies_at, Shaky.late = number, late
        with pytest.raises(Killed):
            copy_encoded_to_uri(place, URI)
        Shaky.dies_at = 0
        if is_encoded_at(URI):
            check_same(EncodedDataset.open(URI), small_data)
            ends["all"] += 1
        else:
            with pytest.raises(ValueError, match=r"There is no encoded data set|has no index\.json"):
                EncodedDataset.open(URI)
            ends["nothing"] += 1
        # The same machine goes on with what is there, in the same folder.
        Shaky.written = []
        copy_encoded_to_uri(place, URI)
        check_same(EncodedDataset.open(URI), small_data)
        assert len(folders_at(URI)) == 2, number
        assert len(Shaky.written) <= total - number + 1
    assert ends["nothing"] == total - (1 if late else 0) and ends["all"] == (1 if late else 0)


def test_several_machines_end_with_the_data_of_one_of_them(
    here: Path, small_data: EncodedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine copies all while another one is between any two of its operations."""
    copy_encoded_to_uri(here, URI)
    total = Shaky.operations
    opened = Shaky._open
    for number in range(1, total + 1):
        put(URI, {})
        first, second = tmp_path / f"first-{number}" / here.name, tmp_path / f"second-{number}" / here.name
        for place in (first, second):
            shutil.copytree(here, place)
        came = False

        def other_comes(self: Shaky, path: str, mode: str = "rb", **options: Any) -> Any:
            nonlocal came
            if mode == "wb" and not came and Shaky.operations == number - 1:  # noqa: B023
                came = True
                copy_encoded_to_uri(second, URI)  # noqa: B023
            return opened(self, path, mode, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Shaky, "_open", other_comes)
            copy_encoded_to_uri(first, URI)
        assert came
        check_same(EncodedDataset.open(URI), small_data)
        named = json.loads(contents_at(URI)["index.json"])["folder"]
        assert named in folders_at(URI)
        # What one copied that came too late is removed; in the moment before the index is written, it is named.
        left = folders_at(URI) - {"index.json", named}
        assert not left or (
            number == total and f"{URI}: {', '.join(left)} was left by a copy" in capsys.readouterr().out
        )


def test_what_is_wrong_is_said(here: Path, small_data: EncodedDataset) -> None:
    Shaky.refused = ".block"
    with pytest.raises(
        OSError, match=rf"could not be written to {URI}: .*403: may not write here\. It is kept in {here}"
    ):
        copy_encoded_to_uri(here, URI)
    Shaky.refused = ""
    copy_encoded_to_uri(here, URI)
    check_same(EncodedDataset.open(URI), small_data)
    there = contents_at(URI)
    index = json.loads(there["index.json"])
    del index["checksum"]
    for folder in ("../other", "copy-1/../../other", "encoder", 7):
        put(URI, {**there, "index.json": json_bytes({**index, "folder": folder})})
        with pytest.raises(DamagedFileError, match=rf"index\.json in {URI} names the folder {folder!r}"):
            EncodedDataset.open(URI)
    (block,) = (name for name in there if name.endswith("split1-000000.block"))
    put(URI, {**there, block: there[block][:-4] + b"\0\0\0\1"})
    with pytest.raises(DamagedFileError, match=rf"{URI}/{block} is damaged: its content"):
        EncodedDataset.open(URI).column("validation", "label")
    put(URI, {})
    damaged = here / "split0-000000.block"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedFileError, match=rf"{damaged} is damaged: its content is not what was written"):
        copy_encoded_to_uri(here, URI)
    assert not is_encoded_at(URI)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shaky, "_open", lambda *_, **__: (_ for _ in ()).throw(PermissionError("403: read only")))
        with pytest.raises(
            ValueError, match=rf"could not be written to {URI}: 403: read only\. Give --data\.directory"
        ):
            check_uri_for_encoded_data(URI)
