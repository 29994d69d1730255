"""Where the tensors of a checkpoint lie in its files, so that large ones are read some bytes at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.core.protobuf import tensor_bundle_pb2

from dynctr_tf.durable_files import DamagedFileError

_PIECE = 1 << 22
_FOOTER, _MAGIC = 48, bytes.fromhex("57fb808b247547db")
# A slice has a key of its own: a zero, the tensor's name, the end of the name, then numbers in the order of the rows.
_SLICE, _END_OF_NAME = b"\x00", b"\x00\x01"


class Place(NamedTuple):
    """Bytes of a file, with the rows of a tensor that they hold, one after another.

    Attributes:
        file: The file.
        start: The first byte.
        size: The number of bytes.
    """

    file: Path
    start: int
    size: int


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """A tensor of numbers in a checkpoint.

    Args:
        shape: Its shape.
        dtype: The type of its numbers.
        places: Where its rows are, in their order: one place, or one for each slice.
    """

    shape: tuple[int, ...]
    dtype: tf.DType
    places: tuple[Place, ...]

    @property
    def num_bytes(self) -> int:
        """What it takes."""
        return sum(place.size for place in self.places)

    def pieces(self, unit: int = 1) -> Iterator[bytes]:
        """Yields its bytes in the order of its rows, some megabytes at a time.

        Args:
            unit: A piece has a multiple of so many bytes, such as those of a row. Default 1.

        Raises:
            DamagedFileError: A file has ended before.
        """
        most = max(unit, _PIECE - _PIECE % unit)
        for file, start, size in self.places:
            with file.open("rb") as opened:
                opened.seek(start)
                while size:
                    piece = opened.read(min(size, most))
                    if len(piece) < min(size, most):
                        raise DamagedFileError(f"{file} is damaged: it ends {size:,} bytes too early.")
                    size -= len(piece)
                    yield piece


def stored_tensors(prefix: str | Path) -> dict[str, StoredTensor]:
    """Finds the tensors of a checkpoint of TensorFlow, those of numbers, without reading one.

    Use it where a tensor should not be held whole: TensorFlow itself reads a whole tensor, or a whole slice of one.

    Args:
        prefix: What the names of its files begin with, such as `saved_models/clicks/1/variables/variables`.

    Returns:
        The tensors by their keys.

    Raises:
        DamagedFileError: The index is damaged, or not that of a checkpoint.
        ValueError: A tensor is in slices that are not of its rows alone.

    Cost: it reads the index, some kilobytes.

    Example:

    >>> import tempfile
    >>> prefix = tf.train.Checkpoint(table=tf.Variable([[1.0, 2.0]])).write(f"{tempfile.mkdtemp()}/state")
    >>> stored = stored_tensors(prefix)["table/.ATTRIBUTES/VARIABLE_VALUE"]
    >>> stored.shape, b"".join(stored.pieces()).hex()
    ((1, 2), '0000803f00000040')

    Reference:
        `tensorflow/core/util/tensor_bundle/tensor_bundle.h` describes the files; the index is a table of LevelDB,
        `doc/table_format.md` there.
    """
    prefix = Path(prefix)
    index = prefix.with_name(f"{prefix.name}.index")
    content = index.read_bytes()
    try:
        entries = list(_table(content))
        header = tensor_bundle_pb2.BundleHeaderProto.FromString(entries[0][1])
        if entries[0][0] or header.endianness != tensor_bundle_pb2.BundleHeaderProto.LITTLE:
            raise ValueError("its header is not that of a checkpoint in little-endian order")
        whole: dict[bytes, Any] = {}
        slices: dict[bytes, list[Any]] = {}
        for key, value in entries[1:]:
            entry = tensor_bundle_pb2.BundleEntryProto.FromString(value)
            if key.startswith(_SLICE):
                name = key[1:].partition(_END_OF_NAME)[0]
                slices.setdefault(name, []).append(entry)
            else:
                whole[key] = entry
    except (IndexError, ValueError) as error:  # of protocol buffers too
        raise DamagedFileError(f"{index} is damaged, or not the index of a checkpoint: {error}") from error
    found = {}
    for key, entry in whole.items():
        dtype = tf.as_dtype(entry.dtype)
        if dtype in (tf.string, tf.variant, tf.resource):
            continue
        shape = tuple(size.size for size in entry.shape.dim)
        held = slices.get(key, []) if entry.slices else [entry]
        rows = sum(one.shape.dim[0].size for one in held) if entry.slices else None
        if entry.slices and (rows != shape[0] or any(_row(one) != _row(entry) for one in held)):
            raise ValueError(f"{key.decode()!r} in {prefix} is in slices that are not of rows: {entry.slices}.")
        places = (
            Place(prefix.with_name(f"{prefix.name}.data-{one.shard_id:05d}-of-{header.num_shards:05d}"), *_bytes(one))
            for one in held
        )
        found[key.decode()] = StoredTensor(shape, dtype, tuple(places))
    return found


def _row(entry: Any) -> list[int]:
    return [size.size for size in entry.shape.dim[1:]]


def _bytes(entry: Any) -> tuple[int, int]:
    return int(entry.offset), int(entry.size)


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table of LevelDB whose blocks are not compressed, in the order of the keys."""
    if len(content) < _FOOTER or content[-len(_MAGIC) :] != _MAGIC:
        raise ValueError("its end is not that of a table")
    footer = content[-_FOOTER:]
    place = 0
    for _ in range(2):  # where the table of blocks of other kinds is, which is empty
        _, place = _varint(footer, place)
    start, place = _varint(footer, place)
    size, place = _varint(footer, place)
    for _, handle in _block(content, start, size):
        start, place = _varint(handle, 0)
        size, _ = _varint(handle, place)
        yield from _block(content, start, size)


def _block(content: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    block = content[start : start + size]
    if len(content) <= start + size or size < 4 or content[start + size]:
        raise ValueError("a block of it is cut short or compressed")
    restarts = int.from_bytes(block[-4:], "little")
    end, place, key = size - 4 * (1 + restarts), 0, b""
    while place < end:
        shared, place = _varint(block, place)
        own, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + own]
        yield key, block[place + own : place + own + length]
        place += own + length


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place after it."""
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
