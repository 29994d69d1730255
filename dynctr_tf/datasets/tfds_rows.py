"""Rows of any data set that tensorflow-datasets has prepared, in columnar batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import BadRowError, OnBadRow, Problem, checked_on_bad_row, usable_rows
from dynctr_tf.datasets.key_features import VocabularyRules
from dynctr_tf.datasets.row_checks import check_type, typed_columns
from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder
from dynctr_tf.datasets.splits import DEFAULT_SHARES, RandomSplit
from dynctr_tf.nearest import nearest_names, unknown_name_message
from dynctr_tf.schema import Schema

_ROWS_PER_BATCH = 8192
_MISSING_TEXT = ""
"""What a builder of this project writes for a missing text."""


class TfdsRows(VocabularyRules):
    """The rows of a data set that `tfds.load` or `tfds build` has prepared on this machine.

    When to use: to train a model of this library on a data set of tensorflow-datasets, with all that the jobs do. Each
    feature that the schema names is a column; one inside of another is named with a slash, such as `user/age`. A
    `ClassLabel` is read by its names, and a sequence as the values of a multi-valued or sequence feature. The splits
    `train`, `validation` and `test` stay as they are. Of these, one that the data set lacks is cut out of `train` at
    random, and other splits are not read. Nothing is downloaded here.

    Args:
        dataset: The name, with configuration and version where there are several, such as
            `"movielens/100k-ratings:0.1.1"`; or a builder of tensorflow-datasets.
        schema: What the features mean. Default `None`: for the data sets of this project, that of their builder.
        data_dir: The folder of all prepared data sets. Default `None`: that of tensorflow-datasets.
        splits: Split name to share, `"train"` first; the shares count for splits that are cut out. Default: 70 % train,
            10 % validation, 20 % test.
        seed: Of that cut. Default 0.
        on_bad_row: `"error"`, or `"skip"` to leave bad rows out and count them. Default `"error"`.

    Raises:
        ValueError: An unknown data set, or one that is not prepared; no schema, or one with a column that the data set
            lacks or that cannot hold the feature; no split `train`; on reading, a bad row (`BadRowError`), or no row.

    Cost: a few microseconds a value, several times that of `TabularFile` on Parquet.

    Example:

    >>> import contextlib, io, tempfile
    >>> from dynctr_tf.datasets import RowSourceConfig, SyntheticCtr
    >>> folder = tempfile.mkdtemp()
    >>> sizes = {"num_train": 40, "num_validation": 5, "num_test": 5}
    >>> builder = SyntheticCtr(config=RowSourceConfig(name="tiny", arguments=sizes), data_dir=folder)
    >>> with contextlib.redirect_stdout(io.StringIO()):
    ...     builder.download_and_prepare()
    >>> rows = TfdsRows(builder)
    >>> [(batch.columns.num_rows, int(batch.splits[0])) for batch in rows.batches()]
    [(40, 0), (5, 1), (5, 2)]
    """

    def __init__(
        self,
        dataset: str | tfds.core.DatasetBuilder,
        schema: Schema | None = None,
        *,
        data_dir: str | Path | None = None,
        splits: Mapping[str, float] = DEFAULT_SHARES,
        seed: int = 0,
        on_bad_row: OnBadRow = "error",
    ) -> None:
        self._builder = _builder(dataset, data_dir) if isinstance(dataset, str) else dataset
        self.on_bad_row = checked_on_bad_row(on_bad_row)
        self._name = self._builder.info.full_name
        self._packed = isinstance(self._builder, RowSourceBuilder)
        if schema is None:
            if not self._packed:
                raise ValueError(
                    f"The data set {self._name!r} needs a schema, which says what its features mean; it has "
                    f"{', '.join(self._names())}."
                )
            schema = self._builder.schema()
        self._schema = schema
        own = self._builder.info.splits
        self._shares = RandomSplit(dict(splits), seed)
        first = self._shares.names[0]
        if first not in own:
            prepare = f"Prepare it first: tfds.load({self._name.rpartition('/')[0]!r})."
            raise ValueError(
                f"The data set {self._name!r} has no split {first!r} in {self._builder.data_dir}; its splits are "
                f"{list(own)}. {prepare if not own else ''}".strip()
            )
        given = [name for name in self._shares.names[1:] if name in own]
        left = {name: share for name, share in splits.items() if name not in given}
        self._cut = RandomSplit({name: share / sum(left.values()) for name, share in left.items()}, seed)
        self._read = (first, *given)
        self._check_columns()
        self._skipped: dict[str, int] = {}
        self._num_rows: int | None = None

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._schema

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, `"train"` first."""
        return self._shares.names

    @property
    def num_rows(self) -> int | None:
        """How many usable rows there are; `None` where bad ones are left out and nothing was read yet."""
        if self.on_bad_row == "error":
            return sum(self._builder.info.splits[name].num_examples for name in self._read)
        return self._num_rows

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows the last complete reading left out, by reason."""
        return dict(self._skipped)

    @property
    def files(self) -> tuple[Path | RowFile, ...]:
        """The files of the splits that are read."""
        named = [RowFile(str(path)) for name in self._read for path in self._builder.info.splits[name].filepaths]
        return tuple(file.local or file for file in named)

    def batches(self) -> Iterator[RowBatch]:
        """Reads all rows once, split by split.

        Raises:
            BadRowError: A bad row, with `on_bad_row="error"`.
            ValueError: No usable row at all.
        """
        skipped: Counter[str] = Counter()
        total = 0
        for place, name in enumerate(self._read):
            start = 0
            for raw, size in self._raw_batches(name):
                columns, problems = typed_columns(raw, self._schema, self._missing)
                numbers = np.arange(start, start + size)
                start += size
                if problems and self.on_bad_row == "error":
                    self._refuse(name, numbers, problems)
                kept = usable_rows(size, problems, skipped)
                if kept.any():
                    total += int(kept.sum())
                    splits = self._splits_of(name, numbers[kept])
                    rows = numbers[kept].astype(np.uint64) + (np.uint64(place) << np.uint64(40))
                    yield RowBatch(columns.filter(pa.array(kept)), splits, rows)
        if not total:
            raise ValueError(f"The data set {self._name!r} has no usable row; left out: {dict(skipped)}.")
        self._num_rows, self._skipped = total, dict(skipped)

    def _splits_of(self, name: str, numbers: np.ndarray) -> np.ndarray:
        if name != self.split_names[0]:
            return np.full(len(numbers), self.split_names.index(name), np.int8)
        places = np.array([self.split_names.index(cut) for cut in self._cut.names], np.int8)
        return places[self._cut.assign(numbers)]

    @property
    def _missing(self) -> pa.Array | None:
        texts = {*self._schema.missing_values, *((_MISSING_TEXT,) if self._packed else ())}
        return pa.array(sorted(texts), pa.string()) if texts else None

    def _packed_place(self, name: str) -> tuple[str, int] | None:
        """Where a builder of this project, which writes few tensors, has the column."""
        if self._packed:
            for kind in ("categorical", "numeric"):
                names = [feature.name for feature in self._builder.schema().features if feature.kind == kind]
                if name in names:
                    return kind, names.index(name)
        return None

    def _names(self) -> list[str]:
        """The features that a schema may name."""
        if not self._packed:
            return list(_leaves(self._builder.info.features))
        schema = self._builder.schema()
        packed = [feature.name for feature in schema.features if feature.kind in ("categorical", "numeric")]
        return [*packed, *(name for name in self._builder.info.features if name not in ("categorical", "numeric"))]

    def _check_columns(self) -> None:
        leaves = _leaves(self._builder.info.features)
        names = self._names()
        features = {feature.name: feature for feature in self._schema.features}
        for name in self._schema.file_columns:
            if name not in names:
                raise ValueError(f"{self._name}: {unknown_name_message('feature of the data set', name, names)}")
            packed = self._packed_place(name)
            kind = _arrow_type(name, leaves[packed[0] if packed else name], single=packed is not None)
            try:
                check_type(name, kind, features.get(name), self._schema)
            except ValueError as error:
                raise ValueError(f"{self._name}: {error}") from error

    def _raw_batches(self, split: str) -> Iterator[tuple[list[pa.Array], int]]:
        """The columns of the schema as they are, and how many rows a batch has."""
        # One file after the other, so that the order of the rows is that of the files.
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        places = [self._packed_place(name) for name in self._schema.file_columns]
        tensors = [place[0] if place else name for name, place in zip(self._schema.file_columns, places, strict=True)]
        leaves = _leaves(self._builder.info.features)

        def wanted(example: Any) -> dict[str, tf.Tensor]:
            return {name: _inside(example, name) for name in dict.fromkeys(tensors)}

        data = self._builder.as_dataset(split=split, read_config=config, shuffle_files=False)
        for batch in data.map(wanted).ragged_batch(_ROWS_PER_BATCH).prefetch(2):
            columns = []
            for name, place in zip(tensors, places, strict=True):
                values = batch[name]
                columns.append(_column(values if place is None else values[:, place[1]], leaves[name]))
            yield columns, len(columns[0])

    def _refuse(self, split: str, numbers: np.ndarray, problems: list[Problem]) -> None:
        first = min(problems, key=lambda problem: int(problem.rows[0]))
        given = "nothing" if first.given is None else repr(first.given)
        detail = first.detail or f"expected {first.expected}, got {given}"
        row = int(numbers[first.rows[0]]) + 1
        advice = f'{first.advice} Give on_bad_row="skip" to leave such rows out and count them.'.strip()
        raise BadRowError(f"{self._name}, {split}", "row", row, first.column, first.reason, detail, advice)


def _builder(dataset: str, data_dir: str | Path | None) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(dataset, data_dir=None if data_dir is None else str(data_dir))
    except tfds.core.DatasetNotFoundError as error:
        wanted = dataset.partition("/")[0].partition(":")[0]
        near = " or ".join(map(repr, nearest_names(wanted, tfds.list_builders(with_community_datasets=False))))
        hint = f" Did you mean {near}?" if near else ""
        raise ValueError(f"tensorflow-datasets knows no data set {wanted!r}.{hint}") from error
    except (AssertionError, KeyError, ValueError) as error:  # a version or a configuration that does not exist
        raise ValueError(f"The data set {dataset!r} cannot be opened: {' '.join(str(error).split())}") from error


def _leaves(features: Any, path: str = "") -> dict[str, Any]:
    """The features that hold no others, by their names with slashes; those inside of a sequence too."""
    inner = features.feature if isinstance(features, tfds.features.Sequence) else features
    if not isinstance(inner, tfds.features.FeaturesDict):
        return {path: features}
    found: dict[str, Any] = {}
    for name, feature in inner.items():
        # What is inside of a sequence is a sequence.
        own = tfds.features.Sequence(feature) if inner is not features else feature
        found.update(_leaves(own, f"{path}/{name}" if path else name))
    return found


def _inside(example: Any, name: str) -> tf.Tensor:
    if name in example:
        return example[name]
    first, _, rest = name.partition("/")
    return _inside(example[first], rest)


def _class_names(feature: Any) -> list[str] | None:
    inner = feature.feature if isinstance(feature, tfds.features.Sequence) else feature
    known = isinstance(inner, tfds.features.ClassLabel) and inner.names is not None
    return list(inner.names) if known else None


def _arrow_type(name: str, feature: Any, *, single: bool) -> pa.DataType:
    """The type of the column; `single` where it is one place of a tensor.

    Raises:
        ValueError: The feature is neither a value nor a list of values.
    """
    spec = feature.get_tensor_info()
    if isinstance(spec, dict) or len(spec.shape) > 1:
        raise ValueError(f"The feature {name!r} is {feature}, expected one value a row, or a list of values.")
    text = spec.np_dtype in (np.dtype(object), np.object_, np.str_) or _class_names(feature) is not None
    kind = pa.binary() if text else pa.from_numpy_dtype(np.dtype(spec.np_dtype))
    return kind if single or not spec.shape else pa.list_(kind)


def _column(values: Any, feature: Any) -> pa.Array:
    """A batch of one feature."""
    names = _class_names(feature)
    if isinstance(values, tf.RaggedTensor):
        return pa.ListArray.from_arrays(pa.array(values.row_splits.numpy(), pa.int32()), _flat(values.values, names))
    if len(values.shape) == 2:
        rows, length = values.shape
        offsets = pa.array(np.arange(rows + 1) * length, pa.int32())
        return pa.ListArray.from_arrays(offsets, _flat(tf.reshape(values, (-1,)), names))
    return _flat(values, names)


def _flat(values: tf.Tensor, names: list[str] | None) -> pa.Array:
    found = values.numpy()
    if names is not None:
        # A label that is not known is -1.
        indices = pa.array(found.astype(np.int32), mask=found < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string())).dictionary_decode()
    return pa.array(found, pa.binary()) if found.dtype == object else pa.array(found)
