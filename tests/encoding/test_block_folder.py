"""Encoded rows that lie in a store: the same batches for any number of readers, and what goes wrong there."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import tensorflow as tf
from rows_in_memory import rich_source

from dynctr_tf.durable_files import DamagedFileError
from dynctr_tf.encoding import EncodedDataset, Encoder, block_folder, write_encoded_dataset


class Late(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """A file system that answers late, the first request for a file last, and counts its requests."""

    protocol = "late"
    cachable = False
    under_way = 0
    most_under_way = 0
    requests: list[str] = []
    fetched = 0
    _lock = threading.Lock()

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        place = Path(self._strip_protocol(path))
        kind = "directory" if place.is_dir() else "file"
        return {"name": str(place), "size": place.stat().st_size, "type": kind, "mtime": 0.0}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        entries = [self.info(str(entry)) for entry in sorted(Path(self._strip_protocol(path)).iterdir())]
        return entries if detail else [entry["name"] for entry in entries]

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        with Late._lock:
            Late.requests.append(Path(path).name)
            Late.under_way += 1
            Late.most_under_way = max(Late.most_under_way, Late.under_way)
            late = 0.002 * (5 - len(Late.requests) % 5)
        try:
            time.sleep(late)
            content = Path(self._strip_protocol(path)).read_bytes()[start:end]
        finally:
            with Late._lock:
                Late.under_way -= 1
        with Late._lock:
            Late.fetched += len(content)
        return content


@pytest.fixture(scope="module", autouse=True)
def late_files() -> None:
    fsspec.register_implementation("late", Late, clobber=True)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> EncodedDataset:
    source = rich_source(700)
    directory = tmp_path_factory.mktemp("rich") / "data"
    return write_encoded_dataset(
        source, Encoder.fit(source, progress=False), directory, rows_per_block=32, progress=False
    )


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several requests for each block, as a large one takes."""
    monkeypatch.setattr(block_folder, "_PIECE", 1000)
    monkeypatch.setattr(block_folder, "_LEAST_PIECE", 1000)


@pytest.mark.parametrize("name", ["../../evil", "encoder/../../evil", "a//evil", "..\\evil"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store takes any text as a name; a copy of the folder would write where it says."""
    entry = {"name": f"/bucket/data/{name}", "size": 3, "type": "file", "mtime": 0.0}
    monkeypatch.setattr(Late, "find", lambda *_, **__: {entry["name"]: entry})
    monkeypatch.setattr(Late, "isdir", lambda *_: True)
    monkeypatch.setattr(Late, "exists", lambda *_, **__: True)
    with pytest.raises(DamagedFileError, match=r"late:///bucket/data: it has a file '.*evil', which is not a name"):
        block_folder.BlockFolder("late:///bucket/data").sizes()


def plain(batches: tf.data.Dataset) -> list[Any]:
    return [tf.nest.map_structure(lambda values: values.numpy().tolist(), batch) for batch in batches]


@pytest.mark.parametrize(("place", "readers"), [("late://{}", 1), ("late://{}", 5), ("file://{}", 3), ("{}", 2)])
def test_the_batches_are_those_of_the_local_folder(here: EncodedDataset, place: str, readers: int) -> None:
    """In every order, from every step on, in every slice; several readers are at work at once."""
    there = EncodedDataset.open(place.format(here.directory), readers=readers)
    assert there.fingerprint == here.fingerprint and there.readers == readers
    Late.requests, Late.most_under_way = [], 0
    for options in (
        {"shuffle": True, "seed": 3, "epochs": 2, "shuffle_blocks": 3},
        {"shuffle": True, "start_step": 8, "epochs": 3, "drop_remainder": True},
        {"columns": ("true_probability",)},
        {"start_step": 2, "shard": (1, 3)},
    ):
        assert plain(there.batches("train", 90, **options)) == plain(here.batches("train", 90, **options)), options
    assert Late.most_under_way == (readers if place.startswith("late") else 0)
    for name in ("label", "item", "history"):
        np.testing.assert_array_equal(there.column("test", name), here.column("test", name))
    np.testing.assert_array_equal(there.row_keys("validation"), here.row_keys("validation"))
    assert there.encoder().fingerprint == here.encoder_fingerprint


def test_a_uri_has_eight_readers_and_a_folder_none(here: EncodedDataset) -> None:
    assert EncodedDataset.open(f"late://{here.directory}").readers == 8
    assert EncodedDataset.open(here.directory).readers is None
    for readers in (0, -1, 1025):
        with pytest.raises(ValueError, match=f"readers must be from 1 to 1024, or None; got {readers}"):
            EncodedDataset.open(here.directory, readers=readers)


def test_going_on_asks_for_no_block_that_came_before(here: EncodedDataset) -> None:
    there = EncodedDataset.open(f"late://{here.directory}")
    Late.requests = []
    next(iter(there.batches("train", 32, start_step=12, shuffle_blocks=2)))
    assert min(Late.requests) == "split0-000012.block"


def test_the_next_epoch_is_read_while_one_ends(here: EncodedDataset) -> None:
    """A window of the next epoch is asked for before the last batch of this one is taken."""
    there = EncodedDataset.open(f"late://{here.directory}")
    steps = there.num_steps("test", 8)
    Late.fetched = 0
    rows = iter(there.batches("test", 8, epochs=2))
    for _ in range(steps // 2):
        next(rows)
    once = sum(block.stat().st_size for block in Path(here.directory).glob("split2-*.block"))
    begin = time.monotonic()
    while Late.fetched < 2 * once and time.monotonic() - begin < 10:
        time.sleep(0.01)
    assert Late.fetched == 2 * once


def test_what_is_wrong_there_is_named(here: EncodedDataset, tmp_path: Path) -> None:
    for absent in (f"late://{tmp_path}/absent", f"file://{tmp_path}/absent"):
        with pytest.raises(ValueError, match=f"There is no encoded data set at {absent}"):
            EncodedDataset.open(absent)
    with pytest.raises(ValueError, match="no file system for nosuch:// is installed"):
        EncodedDataset.open("nosuch://bucket/data")
    folder = tmp_path / "data"
    shutil.copytree(here.directory, folder)
    uri = f"late://{folder}"

    def changed(name: str, content: bytes) -> Any:
        return (folder / name).write_bytes(content)

    index = (folder / "index.json").read_bytes()
    changed("index.json", index[:-9])
    with pytest.raises(DamagedFileError, match=rf"{uri}/index.json is damaged: it is not JSON"):
        EncodedDataset.open(uri)
    (folder / "index.json").unlink()
    with pytest.raises(ValueError, match=rf"{uri} has no index.json"):
        EncodedDataset.open(uri)
    changed("index.json", index)
    encoder = (folder / "encoder" / "encoder.json").read_bytes()
    changed("encoder/encoder.json", encoder[:-9])
    with pytest.raises(DamagedFileError, match=rf"{uri}/encoder/encoder.json is damaged"):
        EncodedDataset.open(uri).encoder()
    block = "split0-000001.block"
    content = (folder / block).read_bytes()
    changed(block, content[:-4])
    with pytest.raises(DamagedFileError, match=f"{uri}/{block} has {len(content) - 4} bytes in place of"):
        EncodedDataset.open(uri)
    changed(block, content)
    there = EncodedDataset.open(uri)
    for worse, problem in (
        (content[:-1] + bytes([content[-1] ^ 1]), "is damaged: its content is not what was written"),
        (content[:-4], f"is damaged: it ends after {len(content) - 4:,} bytes, before {len(content):,}"),
    ):
        changed(block, worse)
        with pytest.raises(DamagedFileError, match=f"{uri}/{block} {problem}"):
            there.column("train", "label")
        with pytest.raises(tf.errors.OpError, match=f"{uri}/{block} {problem}"):
            list(there.batches("train", 50))
    (folder / block).unlink()
    with pytest.raises(OSError, match=f"{uri}/{block}: cannot be read: .*No such file"):
        there.column("train", "label")


def test_a_window_that_is_begun_ahead_is_left_for_one_that_is_wanted(here: EncodedDataset) -> None:
    """Two iterators of one data set at different places get their own rows."""
    there = EncodedDataset.open(f"late://{here.directory}", readers=2)
    options: dict[str, Any] = {"shuffle": True, "shuffle_blocks": 2, "seed": 1}
    wanted = plain(here.batches("train", 32, **options))
    dataset = there.batches("train", 32, **options)
    found: list[list[Any]] = [[], []]
    iterators = [iter(dataset), iter(dataset)]
    for number in range(len(wanted) + 3):
        for own, delay in ((0, 0), (1, 3)):
            if delay <= number < len(wanted) + delay:
                found[own] += plain([next(iterators[own])])
    assert found == [wanted, wanted]
