"""Base of the TFDS builders: a configuration is the arguments of a row source, and a row is a few tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from dynctr_tf.datasets.row_source import RowSource
from dynctr_tf.datasets.tfds_examples import examples
from dynctr_tf.schema import Schema


class RowSourceConfig(tfds.core.BuilderConfig):
    """A variant of a data set.

    Args:
        name: The configuration's name.
        arguments: Arguments of its row source that differ from their defaults. Default none.
        **kwargs: Of `tfds.core.BuilderConfig`.
    """

    def __init__(self, *, name: str, arguments: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.arguments = dict(arguments or {})


class RowSourceBuilder:
    """The methods of a TFDS builder whose examples are the rows of a row source.

    When to use: as the first base class of a builder, `tfds.core.GeneratorBasedBuilder` being the second. The builder
    gives `schema`, `row_source`, `DESCRIPTION` and `HOMEPAGE`.

    Features: `categorical` and `numeric`, the features of these kinds in the schema's order; the label, the weight and
    the true probability where the schema has them; each multi-valued feature under its own name. The rows of each split
    are in the files' order.
    """

    DESCRIPTION: str
    HOMEPAGE: str
    MANUAL_DOWNLOAD_INSTRUCTIONS: str | None
    builder_config: RowSourceConfig

    def schema(self) -> Schema:
        """What the columns mean in this configuration."""
        raise NotImplementedError

    def row_source(self, manual_dir: str | Path) -> RowSource:
        """The same rows in columnar batches.

        Args:
            manual_dir: The folder of the files that were downloaded by hand; rows that are made do without.
        """
        raise NotImplementedError

    def _names(self, *kinds: str) -> list[str]:
        return [feature.name for feature in self.schema().features if feature.kind in kinds]

    def _info(self) -> tfds.core.DatasetInfo:
        schema = self.schema()
        # tensorflow-datasets keeps numbers in float32, whatever is declared.
        single = [name for name in (schema.label, schema.row_weight, schema.true_probability) if name is not None]
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "categorical": tfds.features.Tensor(shape=(len(self._names("categorical")),), dtype=np.str_),
                    "numeric": tfds.features.Tensor(shape=(len(self._names("numeric")),), dtype=np.float32),
                    **dict.fromkeys(single, np.float32),
                    **{
                        name: tfds.features.Tensor(shape=(None,), dtype=np.str_)
                        for name in self._names("multi_valued", "sequence")
                    },
                }
            ),
            homepage=self.HOMEPAGE,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        source = self.row_source(dl_manager.manual_dir if self.MANUAL_DOWNLOAD_INSTRUCTIONS else "")
        return {name: self._generate_examples(source, name) for name in source.split_names}

    def _generate_examples(self, source: RowSource, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        lists = self._names("multi_valued", "sequence")
        return examples(source, split, self._names("categorical"), self._names("numeric"), lists)
