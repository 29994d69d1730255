"""Several row sources of one schema, read one after the other as a single source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from dynctr_tf.datasets.key_features import VocabularyRules
from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_source import RowBatch, RowSource
from dynctr_tf.schema import Schema


class JoinedSources(VocabularyRules):
    """The rows of several sources, one source after the other.

    When to use: data sets that come in several files of one kind, such as a training log and a test log.

    Args:
        sources: The sources, which have one schema.
        split_names: The splits of all rows, `"train"` first; each split of a source is one of them.
        renamed: For each source the new names of its splits, where names change. Default none.
        skipped: How many rows of further files were left out, by reason. Default none.
        files: Further files that the rows are joined with, such as the features of users. Default none.

    Raises:
        ValueError: No source, sources of different schemas, or a split that is not in `split_names`.

    Example:

    >>> from dynctr_tf.datasets.synthetic_ctr import SyntheticCtrRows
    >>> part = SyntheticCtrRows(num_train=5, num_validation=1, num_test=1)
    >>> joined = JoinedSources([part, part], ("train", "validation", "test"), [{}, {"train": "test"}])
    >>> np.bincount(np.concatenate([batch.splits for batch in joined.batches()])).tolist()
    [5, 2, 7]
    """

    def __init__(
        self,
        sources: Sequence[RowSource],
        split_names: Sequence[str],
        renamed: Sequence[Mapping[str, str]] = (),
        *,
        skipped: Mapping[str, int] | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        if not sources or any(source.schema != sources[0].schema for source in sources):
            raise ValueError(
                f"Sources that are joined must have one schema, got {len(sources)} sources with different schemas."
            )
        self._sources = tuple(sources)
        self._split_names = tuple(split_names)
        self._skipped = dict(skipped or {})
        self._files = tuple(files)
        self._places: list[np.ndarray] = []
        for source, names in zip(sources, renamed or [{} for _ in sources], strict=True):
            called = [names.get(name, name) for name in source.split_names]
            if unknown := sorted(set(called) - set(split_names)):
                raise ValueError(f"The splits {unknown} of a source are not among {list(split_names)}.")
            self._places.append(np.array([self._split_names.index(name) for name in called], np.int8))

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._sources[0].schema

    def set_rules(self, schema: Schema) -> None:
        """Gives the rows a schema that differs in vocabulary rules alone.

        Args:
            schema: The schema.

        Raises:
            ValueError: A source whose rules cannot be replaced.
        """
        for source in self._sources:
            if not isinstance(source, VocabularyRules):
                raise ValueError(f"The vocabulary rules of {type(source).__name__} cannot be replaced.")
            source.set_rules(schema)

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, `"train"` first."""
        return self._split_names

    @property
    def num_rows(self) -> int | None:
        """How many rows there are over all splits; `None` if they must be read to know it."""
        counts = [source.num_rows for source in self._sources]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows the last complete reading left out, by reason."""
        total = Counter(self._skipped)
        for source in self._sources:
            total.update(source.skipped)
        return dict(total)

    @property
    def files(self) -> tuple[Path | RowFile, ...]:
        """The files that the rows are read from."""
        return (*(file for source in self._sources for file in source.files), *self._files)

    def batches(self) -> Iterator[RowBatch]:
        """Reads all rows once."""
        for source, places in zip(self._sources, self._places, strict=True):
            for columns, splits, _ in source.batches():
                yield RowBatch(columns, places[splits])
