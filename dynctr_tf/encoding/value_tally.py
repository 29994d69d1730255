"""Counts that vocabularies need from day to day: values without an id, and when each value was last seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dynctr_tf.durable_files import make_folder, read_json, write_json
from dynctr_tf.encoding.arrow_file import array_of, read_arrow, write_arrow

if TYPE_CHECKING:
    from dynctr_tf.encoding.encoder import Encoder

_FILE = "tally.json"
_ADVICE = "Prepare the encoded data set again, or take the encoder of an earlier day."


@dataclasses.dataclass(frozen=True, eq=False)
class SeenValues:
    """Values of one feature, how often each was seen, and the last day on which it was seen.

    Args:
        values: Distinct strings.
        counts: int64, how often each was seen, on all days together.
        days: int32, the number of the day on which each was last seen; 0 is the first fit.
    """

    values: pa.Array
    counts: np.ndarray
    days: np.ndarray

    @classmethod
    def none(cls) -> SeenValues:
        """No value at all."""
        return cls(pa.array([], pa.large_string()), np.zeros(0, np.int64), np.zeros(0, np.int32))


@dataclasses.dataclass(frozen=True, eq=False)
class ValueTally:
    """Counts and days beside an encoder's vocabularies, so that these can grow from day to day.

    Without it a value that comes twice a day would never reach a minimum count of 10. It is in the encoder's folder,
    and only growing vocabularies read it: look-ups do not need it.

    Args:
        day: How many days came after the first fit.
        left_out: By vocabulary, the values that have no id.
        last_seen: By vocabulary, for each of its values the day on which it was last seen, int32.
    """

    day: int
    left_out: Mapping[str, SeenValues]
    last_seen: Mapping[str, np.ndarray]

    @classmethod
    def of_new(cls, encoder: Encoder, left_out: Mapping[str, SeenValues] | None = None) -> ValueTally:
        """Makes the tally of an encoder that has just been fitted.

        Args:
            encoder: The encoder.
            left_out: The values that got no id. Default `None`: they are not known, and counting begins anew.
        """
        return cls(
            0,
            {name: (left_out or {}).get(name, SeenValues.none()) for name in encoder.vocabularies},
            {name: np.zeros(len(fitted.values), np.int32) for name, fitted in encoder.vocabularies.items()},
        )

    def save(self, directory: str | Path) -> None:
        """Writes the tally into the folder of its encoder."""
        folder = make_folder(directory)
        files = {}
        for index, name in enumerate(sorted(self.left_out)):
            seen = self.left_out[name]
            days = self.last_seen[name].astype(np.int32, copy=False)
            table = pa.table({"value": seen.values, "count": seen.counts, "day": seen.days})
            files[name] = {
                "left_out": write_arrow(folder / f"left_out_{index}.arrow", table),
                "last_seen": write_arrow(
                    folder / f"last_seen_{index}.arrow",
                    pa.table({"day": days}),
                ),
            }
        write_json(folder / _FILE, {"day": self.day, "files": files})

    @classmethod
    def load(cls, directory: str | Path) -> ValueTally | None:
        """Reads the tally beside an encoder; `None` where there is none.

        Raises:
            DamagedFileError: A file of it is absent or damaged.
        """
        folder = Path(directory)
        if not (folder / _FILE).exists():
            return None
        mapping = read_json(folder / _FILE, _ADVICE)
        left_out, last_seen = {}, {}
        for index, name in enumerate(sorted(mapping["files"])):
            known = mapping["files"][name]
            table = read_arrow(folder / f"left_out_{index}.arrow", known["left_out"], _ADVICE)
            left_out[name] = SeenValues(
                array_of(table, "value"), array_of(table, "count").to_numpy(), array_of(table, "day").to_numpy()
            )
            days = read_arrow(folder / f"last_seen_{index}.arrow", known["last_seen"], _ADVICE)
            last_seen[name] = array_of(days, "day").to_numpy()
        return cls(mapping["day"], left_out, last_seen)
