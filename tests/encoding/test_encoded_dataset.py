"""Encoded rows on disk: written whole or not at all, read in batches that seed, epoch and step determine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from rows_in_memory import RICH_SCHEMA, RowsInMemory, random_columns, rich_source

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.durable_files import DamagedFileError, read_json, write_json
from dynctr_tf.encoding import EncodedDataset, Encoder, write_encoded_dataset
from dynctr_tf.encoding.value_tally import ValueTally
from dynctr_tf.schema import Feature, Schema

NUMBERED = Schema((Feature("row", "categorical"), Feature("other", "categorical")), label="y")
"""Rows that say which one they are."""


def numbered_source(train: int, test: int = 0, batch_rows: int = 37) -> RowsInMemory:
    rows = train + test
    columns = pa.RecordBatch.from_pydict(
        {
            "y": pa.array(np.arange(rows) % 2, pa.float32()),
            "row": pa.array([f"{i:06d}" for i in range(rows)]),
            "other": pa.array([f"{i % 5}" for i in range(rows)]),
        }
    )
    splits = np.zeros(rows, np.int8)
    splits[train:] = 1
    return RowsInMemory(NUMBERED, columns, splits, batch_rows, ("train", "test"))


def numbered(directory: Path, train: int, rows_per_block: int, test: int = 0) -> EncodedDataset:
    source = numbered_source(train, test)
    encoder = Encoder.fit(source, progress=False)
    return write_encoded_dataset(source, encoder, directory, rows_per_block=rows_per_block, progress=False)


def rows_of(batches: tf.data.Dataset) -> list[list[int]]:
    """The rows of each batch, by the ids of the field that numbers them; labels and fields must belong together."""
    found = []
    for inputs, labels in batches:
        rows = (inputs["fields"][:, 0].numpy() - 3).tolist()
        assert labels.dtype == tf.float32 and labels.numpy().tolist() == [row % 2 for row in rows]
        found.append(rows)
    return found


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> EncodedDataset:
    return numbered(tmp_path_factory.mktemp("hundred") / "data", 103, rows_per_block=16)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> tuple[RowsInMemory, Encoder, EncodedDataset]:
    source = rich_source(700)
    encoder = Encoder.fit(source, progress=False)
    directory = tmp_path_factory.mktemp("rich") / "data"
    data = write_encoded_dataset(source, encoder, directory, rows_per_block=64, progress=False, about={"seed": 5})
    return source, encoder, data


# What is written


def test_what_is_read_is_what_was_encoded(rich: tuple[RowsInMemory, Encoder, EncodedDataset]) -> None:
    source, encoder, data = rich
    assert data.features == encoder.features and data.schema == RICH_SCHEMA
    assert data.split_names == ("train", "validation", "test") and data.about == {"seed": 5}
    for number, split in enumerate(data.split_names):
        chosen = source.columns.filter(pa.array(source.splits == number))
        assert data.num_rows(split) == chosen.num_rows > 0
        expected = encoder.encode_batch(RowBatch(chosen, np.zeros(chosen.num_rows, np.int8)))
        batches = list(data.batches(split, 50, columns=("true_probability", "item")))
        for name, ids in expected.items():
            read = np.concatenate([inputs[name] for inputs, _, _ in batches])
            assert read.dtype == np.int32
            np.testing.assert_array_equal(read, ids, err_msg=name)
            if name != "fields":
                np.testing.assert_array_equal(data.column(split, name), ids, err_msg=name)
        for place, field in enumerate(data.features.single_valued):
            np.testing.assert_array_equal(data.column(split, field.name), expected["fields"][:, place])
        for name, raw, place in (("label", "click", 1), ("weight", "cost", 2), ("true_probability", "truth", 0)):
            wanted = chosen.column(raw).to_numpy().astype(np.float32)
            np.testing.assert_array_equal(data.column(split, name), wanted)
            read = [batch[place] if place else batch[0][name] for batch in batches]
            np.testing.assert_array_equal(np.concatenate(read), wanted)
        item = [f.name for f in data.features.single_valued].index("item")
        np.testing.assert_array_equal(
            np.concatenate([inputs["item"] for inputs, _, _ in batches]), expected["fields"][:, item]
        )
    assert data.encoder().fingerprint == encoder.fingerprint == data.encoder_fingerprint


def test_the_fingerprint_is_that_of_the_rows(tmp_path: Path) -> None:
    """The same for the same rows wherever they lie, another for one other label, id, order or split."""
    schema = Schema((Feature("color", "categorical"), Feature("size", "numeric")), label="click")

    def encoded(place: str, clicks: list[float], colors: list[str], splits: list[int]) -> EncodedDataset:
        columns = {
            "click": pa.array(clicks, pa.float32()),
            "color": pa.array(colors),
            "size": pa.array([1.0, 2.0, 3.0, 4.0]),
        }
        source = RowsInMemory(schema, pa.RecordBatch.from_pydict(columns), np.array(splits, np.int8), batch_rows=2)
        return write_encoded_dataset(
            source, Encoder.fit(source, progress=False), tmp_path / place, progress=False, about={"place": place}
        )

    clicks, colors, splits = [0.0, 1.0, 0.0, 1.0], ["a", "b", "a", "b"], [0, 0, 1, 2]
    first, again = (encoded(place, clicks, colors, splits) for place in ("first", "again"))
    assert first.fingerprint == again.fingerprint and len(first.fingerprint) == 16
    others = [
        encoded("label", [1.0, *clicks[1:]], colors, splits),
        encoded("id", clicks, ["a", "b", "b", "b"], splits),
        encoded("order", clicks[1::-1] + clicks[2:], colors[1::-1] + colors[2:], splits),
        encoded("split", clicks, colors, [0, 0, 2, 1]),
    ]
    assert len({first.fingerprint, *(data.fingerprint for data in others)}) == 5


def test_row_keys_tell_rows_apart(hundred: EncodedDataset) -> None:
    keys = hundred.row_keys("train")
    assert keys.dtype == np.uint64 and len(keys) == hundred.num_rows("train") == len(set(keys.tolist()))


def test_inputs_of_plain_data_are_the_fields_alone(hundred: EncodedDataset) -> None:
    inputs, labels = next(iter(hundred.batches("train", 10)))
    assert list(inputs) == ["fields"] and inputs["fields"].shape == (10, 2) and inputs["fields"].dtype == tf.int32
    assert labels.shape == (10,)


def test_shapes_are_static_where_no_remainder_is_left(rich: tuple[RowsInMemory, Encoder, EncodedDataset]) -> None:
    spec = rich[2].batches("train", 50, drop_remainder=True, shard=(1, 4)).element_spec
    assert spec[1].shape == (13,) and spec[0]["history"].shape == (13, 4)
    assert rich[2].batches("train", 50).element_spec[0]["fields"].shape.as_list() == [None, 9]


def test_the_rows_of_a_batch_of_the_source_may_be_any_number(tmp_path: Path) -> None:
    wanted = None
    for batch_rows in (1, 7, 64, 500):
        source = rich_source(150, batch_rows=batch_rows)
        encoder = Encoder.fit(source, progress=False)
        directory = tmp_path / str(batch_rows)
        data = write_encoded_dataset(source, encoder, directory, rows_per_block=20, progress=False)
        read = [data.column(split, "user") for split in data.split_names]
        wanted = wanted or read
        for left, right in zip(wanted, read, strict=True):
            np.testing.assert_array_equal(left, right)


class Drawn:
    """A source that draws its rows while it is read, and keeps none."""

    schema = RICH_SCHEMA
    split_names = ("train", "validation", "test")

    def __init__(
        self, batches: int, fails_at: int | None = None, error: BaseException | None = None, rows: int = 200
    ) -> None:
        self._batches, self._fails_at, self._error, self._rows = batches, fails_at, error, rows
        self.num_rows: int | None = None
        self.skipped = {"too few columns": 2}
        self.alive: list[Any] = []
        self.most_alive = 0

    def batches(self) -> Iterator[RowBatch]:
        columns = random_columns(self._rows, 0)
        for number in range(self._batches):
            if number == self._fails_at:
                assert self._error is not None
                raise self._error
            batch = pa.RecordBatch.from_arrays(columns.columns, schema=columns.schema)
            self.alive = [reference for reference in self.alive if reference() is not None]
            self.alive.append(weakref.ref(batch))
            self.most_alive = max(self.most_alive, len(self.alive))
            yield RowBatch(batch, np.full(self._rows, number % 3, np.int8))
            del batch


def test_memory_does_not_depend_on_the_number_of_rows(tmp_path: Path) -> None:
    encoder = Encoder.fit(Drawn(3), progress=False)
    encoder.encode_matrix(random_columns(10, 0))  # what is made once
    peaks = []
    for batches in (10, 60):
        # TensorFlow itself keeps a kilobyte of each call that encodes a batch, however many its rows are.
        source = Drawn(batches, rows=2000)
        tracemalloc.start()
        data = write_encoded_dataset(source, encoder, tmp_path / str(batches), rows_per_block=256, progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert source.most_alive <= 4
        assert sum(data.num_rows(split) for split in data.split_names) == batches * 2000
        assert data.skipped == {"too few columns": 2}
        written = sum(path.stat().st_size for path in (tmp_path / str(batches)).glob("*.block"))
    assert peaks[1] - peaks[0] < 0.1 * written, "what grows is the list of the blocks"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_interrupted_preparation_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    encoder = Encoder.fit(Drawn(3), progress=False)
    with pytest.raises(type(error)):
        write_encoded_dataset(Drawn(9, 5, error), encoder, tmp_path / "data", rows_per_block=64, progress=False)
    assert list(tmp_path.iterdir()) == []
    data = write_encoded_dataset(Drawn(3), encoder, tmp_path / "data", progress=False)
    assert data.num_rows("train") == 200


KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from test_encoded_dataset import Drawn
from dynctr_tf.encoding import Encoder, write_encoded_dataset

class Killed(Drawn):
    def batches(self):
        for number, batch in enumerate(super().batches()):
            if number == 6:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

encoder = Encoder.fit(Drawn(3), progress=False)
write_encoded_dataset(Killed(9), encoder, {directory!r}, rows_per_block=64, progress=False)
"""


def test_a_killed_preparation_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    script = KILLED.format(paths=[str(Path(__file__).parent), *sys.path], directory=str(tmp_path / "data"))
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, env={**os.environ}, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-2000:]
    assert not (tmp_path / "data").exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("data.unfinished-") and any(left.iterdir())
    with pytest.raises(ValueError, match="unfinished"):
        EncodedDataset.open(left)
    encoder = Encoder.fit(Drawn(3), progress=False)
    write_encoded_dataset(Drawn(3), encoder, tmp_path / "data", progress=False)
    assert not left.exists()
    assert EncodedDataset.open(tmp_path / "data").num_rows("test") == 200


def test_bad_directories_are_refused(tmp_path: Path) -> None:
    data = numbered(tmp_path / "data", 40, rows_per_block=16)
    source = numbered_source(40)
    with pytest.raises(ValueError, match="exists already"):
        write_encoded_dataset(source, data.encoder(), tmp_path / "data", progress=False)
    with pytest.raises(ValueError, match="There is no encoded data set"):
        EncodedDataset.open(tmp_path / "elsewhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="not an encoded data set, or an unfinished one"):
        EncodedDataset.open(tmp_path / "empty")

    path = tmp_path / "data" / "index.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-100], encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"index.json is damaged: it is not JSON .* prepare the data set again"):
        EncodedDataset.open(tmp_path / "data")
    path.write_text(text, encoding="utf-8")
    index = read_json(path)
    write_json(path, {**index, "format": 0})
    with pytest.raises(ValueError, match="format 0, this version reads 2"):
        EncodedDataset.open(tmp_path / "data")
    write_json(path, {**index, "encoder_fingerprint": "0"})
    with pytest.raises(ValueError, match="not the one that its rows were encoded with"):
        EncodedDataset.open(tmp_path / "data").encoder()
    path.write_text(text, encoding="utf-8")

    block = sorted((tmp_path / "data").glob("*.block"))[1]
    content = block.read_bytes()
    block.write_bytes(content[:-4])
    with pytest.raises(ValueError, match=f"{block.name} has {len(content) - 4} bytes in place of {len(content)}"):
        EncodedDataset.open(tmp_path / "data")
    block.unlink()
    with pytest.raises(ValueError, match=f"{block.name} is absent"):
        EncodedDataset.open(tmp_path / "data")


def test_every_flipped_bit_is_noticed_and_named(tmp_path: Path) -> None:
    data = numbered(tmp_path / "data", 40, rows_per_block=16)
    expected = rows_of(data.batches("train", 8))
    encoder = data.encoder()
    random = np.random.default_rng(0)
    places = 0
    for file in sorted(path for path in (tmp_path / "data").rglob("*") if path.is_file()):
        content = file.read_bytes()
        for place in sorted({0, len(content) - 1, *random.integers(0, len(content), 12).tolist()}):
            changed = bytearray(content)
            changed[place] ^= 1 << int(random.integers(8))
            file.write_bytes(changed)
            try:
                again = EncodedDataset.open(tmp_path / "data")
                assert again.encoder().fingerprint == encoder.fingerprint
                ValueTally.load(tmp_path / "data" / "encoder")
                for split in again.split_names:
                    again.column(split, "label")
            except DamagedFileError as error:
                assert file.name in str(error)
                places += 1
            else:  # white space of JSON
                assert file.suffix == ".json" and json.loads(file.read_bytes()) == json.loads(content)
        file.write_bytes(content)
        with pytest.raises(DamagedFileError, match=file.name):
            file.write_bytes(b"")
            EncodedDataset.open(tmp_path / "data").encoder()
            ValueTally.load(tmp_path / "data" / "encoder")
        file.write_bytes(content)
    assert places > 50
    block = sorted((tmp_path / "data").glob("*.block"))[-1]
    content = block.read_bytes()
    block.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for options in ({}, {"shuffle": True, "epochs": None}, {"start_step": 4}):
        with pytest.raises(DamagedFileError, match=f"{block.name} is damaged: its content is not what was written"):
            EncodedDataset.open(tmp_path / "data").batches("train", 8, **options)
    block.write_bytes(content)
    assert rows_of(EncodedDataset.open(tmp_path / "data").batches("train", 8)) == expected


def test_wrong_sources_are_refused(tmp_path: Path) -> None:
    source = numbered_source(20)
    encoder = Encoder.fit(source, progress=False)
    with pytest.raises(ValueError, match="schema is not the one"):
        write_encoded_dataset(rich_source(10), encoder, tmp_path / "data", progress=False)
    with pytest.raises(ValueError, match="rows_per_block must be at least 1"):
        write_encoded_dataset(source, encoder, tmp_path / "data", rows_per_block=0, progress=False)
    source.splits[3] = 2
    with pytest.raises(ValueError, match="a split that is not one of"):
        write_encoded_dataset(source, encoder, tmp_path / "data", progress=False)
    columns = {name: source.columns.column(name) for name in ("row", "other")}
    columns["y"] = pa.array([None] + [0.0] * 19, pa.float32())
    holed = RowsInMemory(NUMBERED, pa.RecordBatch.from_pydict(columns))
    holed.split_names = ("train", "test")
    with pytest.raises(ValueError, match="'y' has 1 missing values"):
        write_encoded_dataset(holed, encoder, tmp_path / "data", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_may_be_moved(tmp_path: Path) -> None:
    numbered(tmp_path / "data", 40, rows_per_block=16)
    (tmp_path / "data").rename(tmp_path / "moved")
    assert sum(map(len, rows_of(EncodedDataset.open(tmp_path / "moved").batches("train", 7)))) == 40


def test_a_directory_may_have_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(b"day-\xff")
    (tmp_path / "data").mkdir()
    numbered(tmp_path / "data" / "clicks", 40, rows_per_block=16)
    (tmp_path / "data").rename(place)
    found = EncodedDataset.open(place / "clicks")
    assert found.num_rows("train") == 40 and found.column("train", "label").sum() == 20


# What is read


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("rows", "block"), [(1, 4), (16, 16), (37, 8), (50, 64), (64, 9)])
def test_every_row_of_an_epoch_once(tmp_path: Path, rows: int, block: int, shuffle: bool) -> None:
    data = numbered(tmp_path / "data", rows, block, test=3)
    assert data.num_rows("train") == rows and data.num_rows("test") == 3
    for batch_size, window in ((1, 3), (7, 1), (7, 3), (100, 2)):
        options: dict[str, Any] = {"shuffle": shuffle, "seed": batch_size, "shuffle_blocks": window}
        batches = rows_of(data.batches("train", batch_size, **options))
        assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
        assert len(batches) == data.num_steps("train", batch_size) == -(-rows // batch_size)
        seen = [row for batch in batches for row in batch]
        assert sorted(seen) == list(range(rows))
        if not shuffle:
            assert seen == sorted(seen), "without shuffling the order is that of the file"


def test_epochs_are_shuffled_differently_and_seeds_decide(hundred: EncodedDataset) -> None:
    def order(**options: Any) -> list[int]:
        return [row for batch in rows_of(hundred.batches("train", 10, shuffle=True, **options)) for row in batch]

    two = order(seed=1, epochs=2)
    first, second = two[:103], two[103:]
    assert sorted(first) == sorted(second) == list(range(103)) and first != second
    assert order(seed=1) == first and order(seed=2) != first
    blocks = [row // 16 for row in order(seed=1, shuffle_blocks=1)]
    changes = sum(left != right for left, right in zip(blocks, blocks[1:], strict=False))
    assert changes == 6, "a window of one block keeps the rows of a block together"
    assert [row // 16 for row in first] != blocks
    in_block = [row % 16 for row in order(seed=1, shuffle_blocks=1)][:16]
    assert in_block != sorted(in_block)


def test_the_order_is_the_same_on_every_version(hundred: EncodedDataset) -> None:
    """A run may be resumed on another TensorFlow: these numbers are those of 2.15.1 and of 2.21."""
    batches = rows_of(hundred.batches("train", 8, shuffle=True, seed=1, shuffle_blocks=2, epochs=2))
    assert batches[0] == [25, 18, 24, 8, 11, 23, 13, 1]
    assert batches[20] == [80, 86, 8, 14, 1, 11, 88, 2]


def test_rows_are_permuted_uniformly(tmp_path: Path) -> None:
    """Each of 12 rows comes to each of 12 places equally often: chi-squared with 121 degrees of freedom."""
    data = numbered(tmp_path / "data", 12, rows_per_block=4)
    epochs = 600
    rows = np.array(rows_of(data.batches("train", 12, shuffle=True, seed=9, epochs=epochs)))
    counts = np.zeros((12, 12))
    np.add.at(counts, (np.arange(12)[None].repeat(epochs, 0), rows), 1)
    expected = epochs / 12
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert 121 - 4 * np.sqrt(242) < chi_squared < 121 + 4 * np.sqrt(242)


@pytest.mark.parametrize(
    ("shuffle", "drop_remainder", "batch_size", "steps"),
    [(True, False, 20, 6), (True, True, 40, 2), (False, False, 40, 3)],
)
def test_reading_goes_on_at_every_step(
    hundred: EncodedDataset, shuffle: bool, drop_remainder: bool, batch_size: int, steps: int
) -> None:
    options: dict[str, Any] = {"shuffle": shuffle, "seed": 4, "shuffle_blocks": 2, "epochs": 2}
    options["drop_remainder"] = drop_remainder
    whole = rows_of(hundred.batches("train", batch_size, **options))
    assert hundred.num_steps("train", batch_size, drop_remainder=drop_remainder) == steps
    assert len(whole) == 2 * steps
    for step in range(2 * steps + 1):
        assert rows_of(hundred.batches("train", batch_size, start_step=step, **options)) == whole[step:], step


def test_an_endless_reading_goes_on_in_a_later_epoch(hundred: EncodedDataset) -> None:
    options: dict[str, Any] = {"shuffle": True, "seed": 4, "epochs": None}
    whole = rows_of(hundred.batches("train", 30, **options).take(11))
    assert rows_of(hundred.batches("train", 30, start_step=6, **options).take(5)) == whole[6:]
    assert hundred.batches("train", 30, **options).cardinality() == tf.data.INFINITE_CARDINALITY
    assert hundred.batches("train", 30, start_step=3, epochs=2).cardinality().numpy() == 5


def test_going_on_does_not_read_what_came_before(tmp_path: Path) -> None:
    data = numbered(tmp_path / "data", 96, rows_per_block=8)
    whole = rows_of(data.batches("train", 10, shuffle=True, seed=2, shuffle_blocks=2))
    rest = {row for batch in whole[5:] for row in batch}
    blocks = sorted((tmp_path / "data").glob("*.block"))
    removed = [block for number, block in enumerate(blocks) if not rest & set(range(8 * number, 8 * number + 8))]
    assert len(removed) >= 4
    for block in removed:
        block.unlink()
    assert rows_of(data.batches("train", 10, shuffle=True, seed=2, shuffle_blocks=2, start_step=5)) == whole[5:]


@pytest.mark.parametrize("workers", [2, 3, 5])
@pytest.mark.parametrize("shuffle", [False, True])
def test_workers_together_read_what_one_would(hundred: EncodedDataset, workers: int, shuffle: bool) -> None:
    options: dict[str, Any] = {"shuffle": shuffle, "seed": 3, "shuffle_blocks": 3, "epochs": 2, "start_step": 2}
    whole = rows_of(hundred.batches("train", 20, **options))
    parts = [rows_of(hundred.batches("train", 20, shard=(worker, workers), **options)) for worker in range(workers)]
    assert {len(part) for part in parts} == {len(whole)}
    for step, batch in enumerate(whole):
        assert [row for part in parts for row in part[step]] == batch
        sizes = [len(part[step]) for part in parts]
        assert max(sizes) - min(sizes) <= 1


def test_bad_arguments_are_refused(hundred: EncodedDataset) -> None:
    for options, message in (
        ({"split": "trian"}, "Did you mean 'train'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"start_step": -1}, "start_step must be at least 0"),
        ({"start_step": 12}, "after the last of 1 x 11 steps"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"shard": (2, 2)}, "shard must be"),
        ({"shuffle_blocks": 0}, "shuffle_blocks must be at least 1"),
        ({"columns": ("labl",)}, "Did you mean 'label'"),
        ({"columns": ("weight",)}, "Unknown column: 'weight'"),
        ({"split": "test"}, "has 0 rows"),
        ({"batch_size": 104, "drop_remainder": True}, "without a remainder"),
    ):
        with pytest.raises(ValueError, match=message):
            hundred.batches(**{"split": "train", "batch_size": 10, **options})
    with pytest.raises(ValueError, match="Unknown column: 'scenario'"):
        hundred.column("train", "scenario")


def test_a_step_behind_the_end_of_all_gives_nothing(hundred: EncodedDataset) -> None:
    assert rows_of(hundred.batches("train", 10, start_step=11)) == []
