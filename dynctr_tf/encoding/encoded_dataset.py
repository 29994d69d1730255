"""Encoded rows on disk in blocks, written once, and read in batches that depend on seed, epoch and step alone."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from dynctr_tf.durable_files import DamagedFileError, check_file, json_content
from dynctr_tf.encoding.block_folder import MOST_READERS, Block, BlockFolder, BlockReaders, WindowsAhead
from dynctr_tf.encoding.encoded_features import EncodedFeatures, feature_key
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.row_writer import (
    ENCODER,
    FORMAT,
    INDEX,
    ROWS_PER_BLOCK,
    Column,
    folder_of_files,
    write_encoded_rows,
)
from dynctr_tf.folders_at_uris import READERS, FolderAtUri
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Schema
from dynctr_tf.uris import is_uri, path_text

if TYPE_CHECKING:
    from dynctr_tf.datasets.row_source import RowSource

_BYTES_PER_NUMBER = 4
_BLOCKS_TOGETHER = 8
_GATHERED_ROWS = 1 << 14
_KEY_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # the multiplier of Fibonacci hashing
# No function here branches on tensors, so AutoGraph would only cost time.
_AS_IT_IS = tf.autograph.experimental.do_not_convert


def write_encoded_dataset(
    source: RowSource,
    encoder: Encoder,
    directory: str | Path,
    *,
    about: Mapping[str, Any] | None = None,
    check: Callable[[], None] | None = None,
    rows_per_block: int = ROWS_PER_BLOCK,
    progress: bool = True,
) -> EncodedDataset:
    """Encodes all rows of a source to blocks on disk.

    Use it once per data set and encoder; every training run then reads the blocks. The rows are written to
    a directory beside the wanted one, which takes its name when all is done and on the disk: a preparation that is
    interrupted, or whose machine loses its power, leaves nothing under the name. What a killed one left beside it is
    removed.

    Args:
        source: The rows.
        encoder: The encoder that was fitted on them.
        directory: The directory to make.
        about: Anything that JSON holds and that a later reader wants to know, such as where the rows came from
            and the seed of their splits. Default `None`: nothing.
        check: Called when all rows are written, before the directory gets its name; an error in it ends the
            preparation. Default `None`: nothing.
        rows_per_block: How many rows a block has. Default 65536.
        progress: Whether a progress bar with rows/s is shown. Default `True`.

    Returns:
        The written data set, opened.

    Raises:
        ValueError: A directory that exists, a source with another schema than the encoder, a column that does
            not suit its feature, a missing label, or rows_per_block below 1.
        OSError: A file cannot be written, with its name.

    Cost:
        Memory for one block per split and one batch of the source, whatever the number of rows.
    """
    write_encoded_rows(source, encoder, directory, about, check, rows_per_block, progress)
    return EncodedDataset.open(directory)


# The blocks that this process has checked: path, size, time.
_CHECKED: set[tuple[str, int, int]] = set()


def _check_block(block: Block) -> None:
    """Refuses a damaged block; it is checked when this process reads it first.

    Raises:
        DamagedFileError: It is not.
    """
    path = Path(block.path)
    state = path.stat() if path.exists() else None
    key = (block.path, state.st_size, state.st_mtime_ns) if state else None
    if key is None or key not in _CHECKED:
        check_file(path, block.size, block.checksum, f"Delete {path.parent} and prepare the data set again.")
    if key is not None:
        _CHECKED.add(key)


def _check_blocks(blocks: Sequence[Block]) -> None:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(_check_block, blocks):
            pass


class EncodedDataset:
    """Encoded rows on disk, or in a store such as a bucket.

    Use `write_encoded_dataset` to make one and `EncodedDataset.open` to read it: `batches` for training and
    evaluation, `column` for what metrics need beside the predictions.

    Args:
        directory: The directory; or the URI of one, as text.
        index: What its index file holds.
        readers: As `open` takes it. Default `None`.

    Attributes:
        directory: Where the rows are; a URI is a text.
        readers: How many requests at a time read blocks; `None` where files are read as they are.
        features: What a model needs to know of them.
        schema: What the columns mean.
        fingerprint: Sixteen characters that change when a row, an id, a label, a split or the schema does: the digest
            of all encoded columns. Whatever is trained on the rows or computed of them carries it.
        encoder_fingerprint: That of the encoder alone.
        about: What the writer noted.
        skipped: How many rows of the source were left out, by reason.

    Cost:
        Reading 39 fields in batches of 4096 takes one core a microsecond per row shuffled, and 0.4 in the file's order.
        The first time that a process reads a split it checks the content of its blocks: a second per gigabyte and core.
        With `readers` every block is checked as it comes.

    Example:

    >>> import tempfile
    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> source = SyntheticCtrRows(num_train=300, num_validation=100, num_test=100)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     encoder = Encoder.fit(source, progress=False)
    ...     data = write_encoded_dataset(source, encoder, f"{place}/encoded", progress=False)
    ...     [len(labels) for _, labels in data.batches("train", 128, shuffle=True)]
    [128, 128, 44]
    """

    def __init__(self, directory: Path | str, index: Mapping[str, Any], readers: int | None = None) -> None:
        self.directory = directory
        self.readers = readers
        self._files = folder_of_files(index, directory)
        self.features = EncodedFeatures.from_json(json.dumps(index["features"]))
        self.schema = Schema.from_json(json.dumps(index["schema"]))
        self.fingerprint: str = index["fingerprint"]
        self.encoder_fingerprint: str = index["encoder_fingerprint"]
        self.about: dict[str, Any] = dict(index["about"])
        self.skipped: dict[str, int] = dict(index["skipped"])
        self._columns = {column["name"]: Column(**column) for column in index["layout"]}
        last = Column(**index["layout"][-1])
        self._width = last.start + last.width
        folder = BlockFolder(directory)
        self._readers = None if readers is None else BlockReaders(folder, readers, self._width)
        self._blocks = {
            split["name"]: [
                Block(
                    self._files + block["file"],
                    folder.path_of(self._files + block["file"]),
                    block["rows"],
                    block["rows"] * self._width * _BYTES_PER_NUMBER,
                    block["checksum"],
                )
                for block in split["blocks"]
            ]
            for split in index["splits"]
        }

    @classmethod
    def open(cls, directory: str | Path, *, readers: int | None = None) -> EncodedDataset:
        """Opens what `write_encoded_dataset` wrote, also a copy of it that lies elsewhere.

        Args:
            directory: The directory, or its URI: `gs://`, `s3://`, `hdfs://`, and what fsspec knows.
            readers: How many requests at a time read blocks; batches are the same for any number. It is for places
                that answer late or give a request a part of their bandwidth: URIs and mounted buckets. Default
                `None`: 8 for a URI; files of a disk are read as they are, which is faster.

        Raises:
            ValueError: A directory that is absent or unfinished, of another format, or whose blocks are not
                there in full; a URI that cannot be reached; readers out of range.
        """
        if readers is not None and not 1 <= readers <= MOST_READERS:
            raise ValueError(f"readers must be from 1 to {MOST_READERS}, or None; got {readers}.")
        place: str | Path = path_text(directory)
        if is_uri(place):
            readers = readers or READERS
        else:
            place = Path(directory).resolve()
        again = f"Delete {place} and prepare the data set again."
        folder = BlockFolder(place)
        sizes = folder.sizes()
        if not sizes and not (isinstance(place, Path) and place.is_dir()):
            raise ValueError(f"There is no encoded data set at {place}; `write_encoded_dataset` makes one.")
        if INDEX not in sizes:
            raise ValueError(
                f"{place} has no {INDEX}: it is not an encoded data set, or an unfinished one. Prepare it again."
            )
        index = json_content(folder.read(INDEX, 0, sizes[INDEX]), folder.path_of(INDEX), again)
        found = index.get("format")
        if found != FORMAT:
            raise ValueError(
                f"{place} has the format {found!r}, this version reads {FORMAT}; prepare the data set again."
            )
        dataset = cls(place, index, readers)
        for blocks in dataset._blocks.values():
            for block in blocks:
                size = sizes.get(block.file)
                if size != block.size:
                    state = "is absent" if size is None else f"has {size} bytes in place of {block.size}"
                    raise DamagedFileError(f"{block.path} {state}; delete {place} and prepare the data set again.")
        return dataset

    @contextlib.contextmanager
    def encoder_folder(self) -> Iterator[Path]:
        """Gives the folder of the encoder and of what its vocabularies remember; that of a URI is copied for the block.

        Raises:
            OSError: A file cannot be read.
        """
        name = self._files + ENCODER
        if isinstance(self.directory, Path):
            yield self.directory / name
            return
        there = FolderAtUri(self.directory)
        with tempfile.TemporaryDirectory(prefix="encoder-") as copy:
            start = f"{name}/"
            files = {
                file.removeprefix(start): (file, size) for file, size in there.sizes().items() if file.startswith(start)
            }
            there.fetch(files, Path(copy))
            try:
                yield Path(copy)
            except ValueError as error:
                # The user knows the URI and not the copy.
                raise type(error)(str(error).replace(copy, there.uri_of(name))) from error

    def encoder(self) -> Encoder:
        """Reads the encoder that encoded the rows; from a URI it is copied first.

        Raises:
            ValueError: An encoder that is not the one of the rows.
        """
        with self.encoder_folder() as folder:
            encoder = Encoder.load(folder)
        if encoder.fingerprint != self.encoder_fingerprint:
            raise ValueError(f"The encoder in {self.directory} is not the one that its rows were encoded with.")
        return encoder

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, `"train"` first."""
        return tuple(self._blocks)

    def _split(self, split: str) -> list[Block]:
        if split not in self._blocks:
            raise ValueError(unknown_name_message("split", split, self._blocks))
        return self._blocks[split]

    def num_rows(self, split: str) -> int:
        """Returns how many rows a split has.

        Raises:
            ValueError: An unknown split.
        """
        return sum(block.rows for block in self._split(split))

    def num_steps(self, split: str, batch_size: int, *, drop_remainder: bool = False) -> int:
        """Returns how many batches one epoch of a split has.

        Raises:
            ValueError: An unknown split, or a batch size below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        rows = self.num_rows(split)
        return rows // batch_size if drop_remainder else -(-rows // batch_size)

    def _role_field(self, name: str) -> tuple[Column, int] | None:
        """The column of the scenario or group, and its first id."""
        if name not in ("scenario", "group"):
            return None
        for field in self.features.single_valued:
            if field.role == name:
                return self._columns[field.key], field.first_id
        return None

    def _known(self) -> list[str]:
        return [*self._columns, *(name for name in ("scenario", "group") if self._role_field(name))]

    def column(self, split: str, name: str | None = None, *, feature: str | None = None) -> np.ndarray:
        """Reads one column of a split, in the order of the file.

        Args:
            split: The split.
            name: `"label"`, `"weight"` or `"true_probability"` (float32 `(rows,)`), `"scenario"` or `"group"`
                (int32 `(rows,)`, as in a batch), or a feature: the ids of a single-valued one (int32 `(rows,)`),
                or the entry of a multi-valued one or sequence (int32 `(rows, width)`). Default `None`: `feature` says.
            feature: The feature, in place of `name`. It finds a feature with the name of another column too, such as
                `"weight"`. Default `None`.

        Raises:
            ValueError: An unknown split or column, or not one of `name` and `feature`.
        """
        blocks = self._split(split)
        if (name is None) == (feature is None):
            raise ValueError(f"Give either a name or a feature, got name={name!r} and feature={feature!r}.")
        if feature is not None:
            known = [entry.name for entry in self.features.entries]
            if feature not in known:
                raise ValueError(unknown_name_message("feature", feature, known))
        name = feature_key(feature) if feature is not None else str(name)
        if name not in self._known():
            raise ValueError(unknown_name_message("column", name, self._known()))
        role = self._role_field(name)
        column = role[0] if role else self._columns[name]
        values = np.empty((self.num_rows(split), column.width), np.int32)
        start = 0
        for rows in self._contents(blocks):
            values[start : start + len(rows)] = rows[:, column.start : column.start + column.width]
            start += len(rows)
        if role:
            values -= role[1]
        flat = values[:, 0] if column.width == 1 and name not in self._wide_names() else values
        return flat.view(np.float32) if column.is_float else flat

    def row_keys(self, split: str) -> np.ndarray:
        """A key of each row of a split: uint64 `(rows,)`, in the order of `column`, made of all that is encoded of it.

        Files of numbers computed for the rows, such as logits, keep the keys, so that they are never taken for other
        rows'. Rows that are alike in all columns have the same key.

        Raises:
            ValueError: An unknown split.

        Cost:
            Reads the split once; 10 ns per row and column.
        """
        keys = [np.zeros(0, np.uint64)]
        with np.errstate(over="ignore"):
            for rows in self._contents(self._split(split)):
                key = np.zeros(len(rows), np.uint64)
                for place in range(self._width):
                    # Each column multiplies the key, so that equal numbers in other columns give another key.
                    key = (key ^ rows[:, place].astype(np.uint32)) * _KEY_FACTOR
                    key ^= key >> np.uint64(32)
                keys.append(key)
        return np.concatenate(keys)

    def _contents(self, blocks: Sequence[Block]) -> Iterator[np.ndarray]:
        """The rows of blocks in their order, int32 `(rows, width)`, some blocks at a time."""
        if self._readers is None:
            for block in blocks:
                _check_block(block)
                yield np.memmap(block.path, "<i4", "r", shape=(block.rows, self._width))
        else:
            for start in range(0, len(blocks), _BLOCKS_TOGETHER):
                yield self._readers.begin(blocks[start : start + _BLOCKS_TOGETHER]).rows()

    def _wide_names(self) -> list[str]:
        return [entry.key for entry in self.features.own_entries]

    def _entry(self, rows: tf.Tensor, name: str) -> tf.Tensor:
        role = self._role_field(name)
        column = role[0] if role else self._columns[name]
        if column.width > 1 or name in self._wide_names():
            return rows[:, column.start : column.start + column.width]
        values = rows[:, column.start]
        if role:
            return values - role[1]
        return tf.bitcast(values, tf.float32) if column.is_float else values

    def _to_batch(self, rows: tf.Tensor, columns: Sequence[str]) -> tuple[Any, ...]:
        inputs = {}
        num_single = len(self.features.single_valued)
        if num_single:
            start = self._columns[self.features.single_valued[0].key].start
            inputs["fields"] = rows[:, start : start + num_single]
        roles = [name for name in ("scenario", "group") if self._role_field(name)]
        for name in (*self._wide_names(), *roles, *columns):
            inputs[name] = self._entry(rows, name)
        if "weight" in self._columns:
            return inputs, self._entry(rows, "label"), self._entry(rows, "weight")
        return inputs, self._entry(rows, "label")

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        start_step: int = 0,
        epochs: int | None = 1,
        shard: tuple[int, int] = (0, 1),
        drop_remainder: bool = False,
        shuffle_blocks: int = 8,
        columns: Sequence[str] = (),
    ) -> tf.data.Dataset:
        """Reads a split in batches.

        Which rows a batch has depends on the seed, the epoch and the step alone. In each epoch the blocks are put
        into a new order, `shuffle_blocks` of them at a time are read, and all their rows are permuted; batches
        run on from one such window into the next, and each epoch ends with a batch of what is left.

        Args:
            split: The split.
            batch_size: The rows of a batch over all workers.
            shuffle: Whether the rows are shuffled. Default `False`: the order of the file.
            seed: The seed of the shuffling. Default 0.
            start_step: How many batches, counted from the first of the first epoch, were read before; the
                data set goes on exactly where an uninterrupted one would be, and reads no window that lies
                wholly before. Default 0.
            epochs: How many epochs there are in all, those before `start_step` included. Default 1. `None`:
                without end.
            shard: This worker and the number of workers. Every worker gets its slice of each batch, so that all
                together read what one would. A last batch of fewer rows than workers leaves some of them an
                empty slice; `drop_remainder` avoids it. Default `(0, 1)`.
            drop_remainder: Whether an epoch's last batch is left out where it is smaller. Default `False`.
            shuffle_blocks: How many blocks are shuffled together. They are in memory, and so is the next window
                (8 blocks of 39 fields are 84 MB). Default 8.
            columns: Further columns for the inputs, under their names, as `column` takes them; a feature that is called
                like one of the others is named by its `feature_key`. Default none.

        Returns:
            A `tf.data.Dataset` of `(inputs, labels)`, or `(inputs, labels, weights)` where the schema has weights:
            the encoded batch, float32 `(batch,)` labels and weights.

        Raises:
            ValueError: An unknown split or column, a number out of range, a split without rows, or a step
                after the last.
            DamagedFileError: A block that is not what was written. With `readers` it is found when it comes, in an
                error of TensorFlow that says the same.

        Cost:
            Each worker reads all blocks. One copy of the rows for the permutation and one for the batches. 8 bytes for
            each step of an epoch.
        """
        blocks = self._split(split)
        steps = self.num_steps(split, batch_size, drop_remainder=drop_remainder)
        index, workers = shard
        for what, valid in (
            (f"shard must be (worker, workers) with 0 <= worker < workers, got {shard}.", 0 <= index < workers),
            (f"start_step must be at least 0, got {start_step}.", start_step >= 0),
            (f"epochs must be at least 1, or None for no end, got {epochs}.", epochs is None or epochs >= 1),
            (f"shuffle_blocks must be at least 1, got {shuffle_blocks}.", shuffle_blocks >= 1),
        ):
            if not valid:
                raise ValueError(what)
        for name in columns:
            if name not in self._known():
                raise ValueError(unknown_name_message("column", name, self._known()))
        if not steps:
            raise ValueError(
                f"Split {split!r} has {self.num_rows(split)} rows, which make no batch of {batch_size}"
                f"{' without a remainder' if drop_remainder else ''}."
            )
        if epochs is not None and start_step > epochs * steps:
            raise ValueError(f"start_step {start_step} is after the last of {epochs} x {steps} steps.")

        # Readers need several blocks at a time; in the order of the file windows of any size give the same rows.
        window_blocks = shuffle_blocks if shuffle or self._readers is not None else 1
        reader = _WindowReader(blocks, self._width, shuffle, seed, window_blocks)
        first_epoch, steps_done = divmod(start_step, steps)
        first_window, rows_done = reader.find(first_epoch, steps_done * batch_size)
        if self._readers is None:
            _check_blocks(reader.blocks_from(first_epoch, first_window) if epochs == first_epoch + 1 else blocks)
        begin = first_epoch * reader.num_windows + first_window
        end = np.iinfo(np.int64).max if epochs is None else epochs * reader.num_windows

        ahead = None if self._readers is None else WindowsAhead(self._readers)

        @_AS_IT_IS
        def read(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows, order = reader.read(number) if ahead is None else reader.fetch(number, end, ahead)
            return rows, order[tf.where(number == begin, tf.constant(rows_done, tf.int64), 0) :]

        windows = tf.data.Dataset.range(begin, end).map(read)
        # The next window, also that of the next epoch, is read while the batches of this one are made.
        windows = (windows.prefetch(1) if ahead is None else windows).flat_map(_in_order)
        # The sizes of an epoch's batches, which come again in each epoch; no batch has rows of two.
        whole, rest = divmod(sum(block.rows for block in blocks), batch_size)
        sizes = np.append(np.full(whole, batch_size, np.int64), rest)
        pieces = windows.rebatch(np.roll(sizes, -steps_done) if rest else batch_size, drop_remainder=not rest)
        if drop_remainder and rest:
            pieces = pieces.filter(_AS_IT_IS(lambda rows: tf.shape(rows)[0] == batch_size))

        @_AS_IT_IS
        def to_batch(rows: tf.Tensor) -> tuple[Any, ...]:
            if drop_remainder:
                rows = tf.ensure_shape(rows, (batch_size, self._width))
            if workers > 1:
                count = tf.shape(rows)[0]
                rows = rows[count * index // workers : count * (index + 1) // workers]
                if drop_remainder:
                    own = batch_size * (index + 1) // workers - batch_size * index // workers
                    rows = tf.ensure_shape(rows, (own, self._width))
            return self._to_batch(rows, columns)

        dataset = pieces.map(to_batch)
        cardinality = tf.data.INFINITE_CARDINALITY if epochs is None else epochs * steps - start_step
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
        options = tf.data.Options()
        options.deterministic = True
        # There is nothing to tune, and an iterator that is deleted would wait for the tuner's sleep of up to a minute.
        options.autotune.enabled = False
        # A worker's slice must not be split again. A whole data set may be, by rows.
        policy = tf.data.experimental.AutoShardPolicy
        options.experimental_distribute.auto_shard_policy = policy.OFF if workers > 1 else policy.DATA
        return dataset.with_options(options).prefetch(4)


class _WindowReader:
    """Reads the blocks of one split, a window of several at a time, in an order that seed and epoch give."""

    def __init__(self, blocks: Sequence[Block], width: int, shuffle: bool, seed: int, window_blocks: int) -> None:
        self._blocks = list(blocks)
        self._width = width
        self._shuffle = shuffle
        self._seed = seed
        self._window_blocks = window_blocks
        self.num_windows = -(-len(blocks) // window_blocks)

    def _permutation(self, size: Any, epoch: Any, stream: Any) -> tf.Tensor:
        """A permutation that depends on seed, epoch and stream; 0 is the stream of the blocks."""
        count = tf.cast(epoch, tf.int64) * (self.num_windows + 1) + tf.cast(stream, tf.int64)
        # The algorithm is named, because what "auto" stands for differs between devices.
        keys = tf.random.stateless_uniform(
            [size], tf.stack([tf.constant(self._seed, tf.int64), count]), None, None, tf.int32, alg="philox"
        )
        return tf.argsort(keys, stable=True)

    def _order(self, epoch: Any) -> tf.Tensor:
        if not self._shuffle:
            return tf.range(len(self._blocks))
        return self._permutation(len(self._blocks), epoch, 0)

    def find(self, epoch: int, row: int) -> tuple[int, int]:
        """Returns the window of an epoch that holds a row, and how many rows of the window come before it."""
        rows = np.array([block.rows for block in self._blocks])[self._order(epoch).numpy()]
        ends = np.cumsum(np.add.reduceat(rows, np.arange(0, len(rows), self._window_blocks)))
        window = int(np.searchsorted(ends, row, side="right"))
        return window, row - (int(ends[window - 1]) if window else 0)

    def blocks_from(self, epoch: int, window: int) -> list[Block]:
        """Returns the blocks of an epoch from one of its windows on."""
        return [self._blocks[place] for place in self._order(epoch).numpy()[window * self._window_blocks :]]

    def _chosen(self, number: tf.Tensor) -> tf.Tensor:
        """The blocks of a window; windows are counted through all epochs."""
        begin = tf.cast(number % self.num_windows, tf.int32) * self._window_blocks
        return self._order(number // self.num_windows)[begin : begin + self._window_blocks]

    def _shuffled(self, places: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        if not self._shuffle:
            return places
        epoch, window = number // self.num_windows, number % self.num_windows
        return tf.gather(places, self._permutation(tf.shape(places)[0], epoch, window + 1))

    def read(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads one window from its files.

        Returns:
            The rows, int32 (rows and some filling, width), and the order in which they are wanted: int32 (rows,).
        """
        chosen = self._chosen(number)
        paths = tf.gather(tf.constant([block.path for block in self._blocks]), chosen)
        contents = tf.map_fn(tf.io.read_file, paths, fn_output_signature=tf.string)
        # All blocks are filled up to the size of the largest, which spares a copy.
        largest = max(block.rows for block in self._blocks)
        size = largest * self._width * _BYTES_PER_NUMBER
        numbers = tf.io.decode_raw(contents, tf.int32, little_endian=True, fixed_length=size)
        # (blocks, largest * width) -> (blocks * largest, width)
        rows = tf.reshape(numbers, [-1, self._width])
        filled = tf.gather(tf.constant([block.rows for block in self._blocks], tf.int32), chosen)
        places = tf.boolean_mask(tf.range(tf.shape(rows)[0]), tf.reshape(tf.sequence_mask(filled, largest), [-1]))
        return rows, self._shuffled(places, number)

    def fetch(self, number: tf.Tensor, end: int, ahead: WindowsAhead) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads one window by several requests at a time, and begins the next one, if it is before `end`.

        Returns:
            As `read`, without filling.
        """

        def rows_of(number: int, chosen: np.ndarray, following: np.ndarray) -> np.ndarray:
            blocks = [self._blocks[place] for place in chosen]
            return ahead.rows(int(number), blocks, [self._blocks[place] for place in following if number + 1 < end])

        rows = tf.numpy_function(rows_of, [number, self._chosen(number), self._chosen(number + 1)], tf.int32)
        rows.set_shape([None, self._width])
        return rows, self._shuffled(tf.range(tf.shape(rows)[0]), number)


@_AS_IT_IS
def _in_order(rows: tf.Tensor, order: tf.Tensor) -> tf.data.Dataset:
    """Gathers the rows of a window some at a time: large tensors cost more to allocate than to fill."""

    @_AS_IT_IS
    def gather(begin: tf.Tensor) -> tf.Tensor:
        return tf.gather(rows, order[begin : begin + _GATHERED_ROWS])

    return tf.data.Dataset.range(0, tf.size(order, tf.int64), _GATHERED_ROWS).map(gather)
