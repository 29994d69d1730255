"""Files of vectors for values, which were trained elsewhere or come from a model of this library."""

from __future__ import annotations

import codecs
import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from dynctr_tf.durable_files import new_file

_KEY, _VECTOR = "key", "vector"
_NPY = b"\x93NUMPY"


@dataclasses.dataclass(frozen=True, eq=False)
class ValueVectors:
    """A vector for each of some values.

    Args:
        keys: The values, distinct texts, as in the rows.
        vectors: float32 `(values, dim)`.

    Raises:
        ValueError: Not as many keys as vectors, a key that comes twice, none at all, or numbers that are not finite.

    Example:

    >>> ValueVectors(pa.array(["red", "blue"]), np.ones((2, 3), np.float32)).dim
    3
    """

    keys: pa.Array
    vectors: np.ndarray

    def __post_init__(self) -> None:
        keys = self.keys if pa.types.is_large_string(self.keys.type) else self.keys.cast(pa.large_string())
        with np.errstate(over="ignore"):  # what is too large is said below
            vectors = np.asarray(self.vectors, np.float32)
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "vectors", vectors)
        if vectors.ndim != 2 or len(vectors) != len(keys) or not vectors.size:
            raise ValueError(
                f"There must be one vector (values, dim) for each key, and at least one; got {len(keys):,} keys and "
                f"vectors of the shape {vectors.shape}."
            )
        if keys.null_count:
            raise ValueError(f"{keys.null_count:,} of the {len(keys):,} keys are missing; give each vector a key.")
        if pc.count_distinct(keys).as_py() < len(keys):
            counted = pc.value_counts(keys)
            twice = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
            raise ValueError(
                f"{len(twice):,} keys come more than once, such as {twice[0].as_py()!r}; keep one vector of each."
            )
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise ValueError(
                f"{len(bad):,} vectors have numbers that are not finite in float32, such as that of "
                f"{keys[int(bad[0])].as_py()!r}; leave these keys out."
            )

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return int(self.vectors.shape[1])


def read_value_vectors(path: str | Path) -> ValueVectors:
    """Reads vectors of values.

    Args:
        path: A file of one of these kinds, recognised by its first bytes:

            * npy: the vectors `(values, dim)`; beside it `<name>.keys.txt` with a key a line, in the same order;
            * Parquet: the column `key` (texts or whole numbers) and the column `vector` (lists of numbers of one
              length); or the key first and a column for each number after it;
            * text as word2vec writes it, in UTF-8: a first line with the number of values and that of their numbers,
              which may be left out; then a line for each value, with the key first, separated by blanks or tabs.

    Raises:
        ValueError: A file that is absent or of another form, or what `ValueVectors` refuses; with the file's name.

    Cost:
        The file is read at once: memory for all its vectors.
    """
    return _read(Path(path), None)


def vector_size(path: str | Path) -> int:
    """Returns how many numbers the vectors of a file have; it reads only a part of a large file.

    Raises:
        ValueError: As `read_value_vectors`, for the part that is read.
    """
    return _read(Path(path), 1).dim


def write_value_vectors(path: str | Path, vectors: ValueVectors) -> None:
    """Writes vectors as a Parquet file with the columns `key` and `vector`, in one move.

    Raises:
        ValueError: A name that does not end in `.parquet`.
        OSError: It cannot be written.
    """
    file = Path(path)
    if file.suffix != ".parquet":
        raise ValueError(f"The vectors are written as Parquet; the name must end in '.parquet', got {str(path)!r}.")
    numbers = pa.FixedSizeListArray.from_arrays(pa.array(vectors.vectors.reshape(-1), pa.float32()), vectors.dim)
    with new_file(file) as partial:
        pa.parquet.write_table(pa.table({_KEY: vectors.keys, _VECTOR: numbers}), partial)


def keys_file(path: str | Path) -> Path | None:
    """Returns the file of keys that belongs to a file of vectors; `None` where the keys are in the file itself."""
    file = Path(path)
    return file.with_suffix(".keys.txt") if _first_bytes(file).startswith(_NPY) else None


def _first_bytes(file: Path) -> bytes:
    if not file.is_file():
        raise ValueError(f"{file}: there is no such file of vectors.")
    with file.open("rb") as stream:
        return stream.read(8)


def _read(file: Path, most: int | None) -> ValueVectors:
    """The vectors of a file, or the first of them."""
    start = _first_bytes(file)
    try:
        if start.startswith(b"PAR1"):
            return _from_parquet(file, most)
        return _from_npy(file, most) if start.startswith(_NPY) else _from_text(file, most)
    except (ValueError, KeyError, pa.ArrowException, OSError) as error:
        raise ValueError(f"{file}: {error}") from error


def _from_npy(file: Path, most: int | None) -> ValueVectors:
    keys = file.with_suffix(".keys.txt")
    if not keys.is_file():
        raise ValueError(f"the keys of its vectors are wanted in {keys.name} beside it, a key a line.")
    vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    if not np.issubdtype(vectors.dtype, np.floating) and not np.issubdtype(vectors.dtype, np.integer):
        raise ValueError(f"it must hold real numbers, got {vectors.dtype}.")
    try:
        lines = keys.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{keys.name} must be text in UTF-8: {error}.") from error
    lines = lines[:-1] if not lines[-1] else lines
    if vectors.shape[:1] == (len(lines),):  # if not, both numbers are said
        lines, vectors = lines[:most], np.array(vectors[:most])
    return ValueVectors(pa.array([line.removesuffix("\r") for line in lines], pa.large_string()), vectors)


def _from_parquet(file: Path, most: int | None) -> ValueVectors:
    with pa.parquet.ParquetFile(file) as opened:
        if not opened.metadata.num_rows:
            raise ValueError("it has no rows.")
        names = opened.schema_arrow.names
        key = _KEY if _KEY in names else names[0]
        rest = [_VECTOR] if _VECTOR in names else [name for name in names if name != key]
        if not rest:
            raise ValueError(f"it has the column {key!r} alone, and no numbers.")
        if most is None:
            table = opened.read([key, *rest])
        else:
            table = pa.Table.from_batches([next(opened.iter_batches(most, columns=[key, *rest]))])
    keys = table.column(key).combine_chunks()
    if pa.types.is_dictionary(keys.type):
        keys = keys.dictionary_decode()
    if not (pa.types.is_string(keys.type) or pa.types.is_large_string(keys.type) or pa.types.is_integer(keys.type)):
        raise ValueError(f"the column {key!r} must hold texts or whole numbers as keys, got {keys.type}.")
    column = table.column(rest[0]).combine_chunks()
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if len(rest) > 1 or not any(kind(column.type) for kind in kinds):
        numbers = np.stack([_numbers(table.column(name).combine_chunks(), name) for name in rest], axis=1)
        return ValueVectors(keys, numbers)
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1 or not lengths[0]:
        raise ValueError(
            f"the vectors in the column {rest[0]!r} must have one length, got those of "
            f"{', '.join('no list' if length is None else str(length) for length in lengths[:5])}."
        )
    numbers = _numbers(pc.list_flatten(column), rest[0])
    return ValueVectors(keys, numbers.reshape(-1, lengths[0]))


def _numbers(column: pa.Array, name: str) -> np.ndarray:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ValueError(f"the column {name!r} must hold numbers, got {column.type}.")
    if column.null_count:
        raise ValueError(f"{column.null_count:,} numbers of the column {name!r} are missing.")
    return column.to_numpy(zero_copy_only=False)


def _from_text(file: Path, most: int | None) -> ValueVectors:
    keys: list[str] = []
    vectors: list[np.ndarray] = []
    announced: int | None = None
    width: int | None = None
    with file.open("rb") as stream:  # bytes are split at the blanks of ASCII alone: a key may hold others
        for number, line in enumerate(stream, start=1):
            text = _text(line)
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            words = line.split()
            if not words:
                continue
            if number == 1 and len(words) == 2 and all(word.isdigit() for word in words):
                announced, width = int(words[0]), int(words[1])
                continue
            width = len(words) - 1 if width is None else width
            if len(words) <= width or not width:
                raise ValueError(
                    f"line {number} has {len(words) - 1} numbers after its key, expected {width or 'one or more'}."
                )
            key, *numbers = line.rsplit(None, width)
            try:
                with np.errstate(over="ignore"):
                    vectors.append(np.array(numbers, np.float32))
            except ValueError as error:
                raise ValueError(
                    f"line {number} should have {width} numbers after its key: {text[:60].rstrip()!r}."
                ) from error
            if announced is None and key != words[0] and _is_number(key.split()[-1]):
                raise ValueError(
                    f"line {number} has more numbers than the {width} of the lines before. Where keys end in a number, "
                    "write a first line with the number of values and that of their numbers."
                )
            keys.append(key.decode())
            if len(keys) == most:
                break
    if most is None and announced is not None and announced != len(keys):
        raise ValueError(f"its first line announces {announced:,} values, and it has {len(keys):,}. Is it whole?")
    return ValueVectors(pa.array(keys, pa.large_string()), np.stack(vectors) if vectors else np.zeros((0, 0)))


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            "it is neither npy nor Parquet nor text in UTF-8. The binary format of word2vec is not read: save the "
            "vectors as text."
        ) from error


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
