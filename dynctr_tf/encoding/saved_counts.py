"""Counts of processes, added up; and as files, so that another run or another machine goes on with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.cell_values import as_text
from dynctr_tf.datasets.row_pieces import Findings
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.durable_files import DamagedFileError, read_array, write_array
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.shard_work import Counted
from dynctr_tf.encoding.spilled_counts import Mapper, SpilledTable
from dynctr_tf.encoding.vocabulary import CountedState, FeatureCounts


class CountTotal:
    """Adds up the counts of all pieces of a source.

    Args:
        source: The rows.

    Attributes:
        tables: The counts of texts, in files.
        found: What the reading has to know at its end.
    """

    def __init__(self, source: TabularFile) -> None:
        self.tables: list[SpilledTable] = []
        self.found = Findings()
        self._source = source
        self._counts = FeatureCounts(source.schema)

    def add(self, counted: Counted) -> None:
        """Adds the counts of some pieces."""
        self.tables += counted.tables
        self.found.add(counted.found)
        self._counts.add_state(counted.state)

    def encoder(self, folder: Path, mapper: Mapper) -> Encoder:
        """Ends the reading of all pieces, and makes the encoder of their counts.

        Args:
            folder: Where large vocabularies are written; they are mapped from there.
            mapper: `map`, or that of several processes.

        Raises:
            ValueError: As `TabularFile.finish` and `FeatureCounts.finish`.
        """
        self._source.finish(self.found)
        return Encoder.of_fitted(self._source.schema, self._counts.finish(self.tables, folder, mapper))


def saved_counts(counted: Counted, name: str, folder: Path) -> dict[str, Any]:
    """Writes the arrays of counts into the folder of their tables, and returns the rest as JSON holds it."""
    state, samples = counted.state, {}
    for number, (feature, (values, keys)) in enumerate(state.samples.items()):
        samples[feature] = f"sample-{name}-{number}"
        write_array(folder / f"{samples[feature]}.values.npy", values)
        write_array(folder / f"{samples[feature]}.keys.npy", keys)
    return {
        "tables": [table._replace(file=Path(table.file).name) for table in counted.tables],
        "rows": state.rows,
        "bins": state.bins,
        "samples": samples,
        "forms": state.forms,
        "found": plain_findings(counted.found),
    }


def counts_of(plain: Mapping[str, Any], folder: Path) -> Counted:
    """Reads what `saved_counts` wrote and returned.

    Raises:
        DamagedFileError: A file of it is absent or damaged.
    """
    tables = [SpilledTable(str(folder / name), *rest) for name, *rest in plain["tables"]]
    for table in tables:
        if not Path(table.file).exists():
            raise DamagedFileError(f"{table.file} is absent. Delete {folder.parent}, and start again.")
    samples: dict[str, tuple[np.ndarray, np.ndarray]] = {
        feature: (read_array(folder / f"{name}.values.npy"), read_array(folder / f"{name}.keys.npy"))
        for feature, name in plain["samples"].items()
    }
    return Counted(
        tables, CountedState(plain["rows"], plain["bins"], samples, plain["forms"]), findings_of(plain["found"])
    )


def plain_findings(found: Findings) -> dict[str, Any]:
    """Returns findings as plain values for JSON."""
    labels = None if found.labels is None else as_text(found.labels.slice(0, 1000)).to_pylist()
    return {
        "rows": found.rows,
        "clicks": found.clicks,
        "weight": found.weight,
        "skipped": dict(found.skipped),
        "labels": labels,
    }


def findings_of(plain: Mapping[str, Any]) -> Findings:
    """Reads what `plain_findings` returned."""
    labels = None if plain["labels"] is None else pa.array(plain["labels"], pa.string())
    return Findings(plain["rows"], plain["clicks"], plain["weight"], Counter(plain["skipped"]), labels)
