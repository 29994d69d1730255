"""The embeddings of a model."""

from __future__ import annotations

import dataclasses
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FieldEmbedding, ValuePooling
from dynctr_tf.models.parts.part import Part
from dynctr_tf.nearest import unknown_name_message

_POOLING = ("mean", "sum")


@dataclasses.dataclass(frozen=True, repr=False)
class Embedding(Part):
    """How the ids of an encoded batch become vectors: one table and one gather, the layer `"embedding"`.

    Use it as the option `embedding` of a model, or after `encoded_inputs` in a model of your own. The values of a
    multi-valued field are pooled into one vector. So are those of a sequence in models without sequence layers, so
    that any model trains on any data.

    Args:
        dim: Size of an embedding. Default 16.
        initial_scale: Embeddings start uniform between minus and plus this number. Default 0.01.
        pooling: How the values of multi-valued fields and sequences are pooled, `"mean"` or `"sum"`. Default `"mean"`.
        row_regularizer_l2: L2 penalty of the rows of the batch, see `FieldEmbedding`. Default 0.0.

    Raises:
        ValueError: A size below 1, a negative number, or an unknown kind of pooling.

    Example:

    >>> from dynctr_tf.models.parts.encoded_inputs import encoded_inputs
    >>> features = EncodedFeatures.from_sizes([10, 20])
    >>> tuple(Embedding(4).field_map(encoded_inputs(features), features).shape)
    (None, 2, 4)
    """

    dim: int = 16
    initial_scale: float = 0.01
    pooling: str = "mean"
    row_regularizer_l2: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in _POOLING:
            raise ValueError(unknown_name_message("pooling mode", self.pooling, _POOLING))

    def row_options(self) -> dict[str, Any]:
        """Returns the options that layers with a table take."""
        return {"initial_scale": self.initial_scale, "row_regularizer_l2": self.row_regularizer_l2}

    def table(self, features: EncodedFeatures, *, width: int | None = None, linear: bool = False) -> FieldEmbedding:
        """Makes the layer of the table.

        Args:
            features: The description that the encoder gives.
            width: Numbers of each id, where a model cuts them into several vectors. Default `None`: `dim`.
            linear: Whether each id has a first-order weight too. Default `False`.
        """
        return FieldEmbedding(
            features.num_ids,
            self.dim if width is None else width,
            linear=linear,
            name="embedding",
            **self.row_options(),
        )

    def pool(self, rows: Any, pooled: list[Any], name: str = "pooling") -> Any:
        """Pools the values at the end of the rows into one row for each field.

        Args:
            rows: `(batch, n, dim)`.
            pooled: The ids of each field to pool, as `ValuePooling` takes them; possibly none.
            name: Name of the layer. Default `"pooling"`.
        """
        return ValuePooling(self.pooling, name=name)([rows, *pooled]) if pooled else rows

    def field_map(self, inputs: dict[str, Any], features: EncodedFeatures, *, width: int | None = None) -> Any:
        """Embeds a batch.

        Args:
            inputs: What `encoded_inputs` gave.
            features: The description that the encoder gives.
            width: Numbers of each id, where a model cuts them into several vectors. Default `None`: `dim`.

        Returns:
            The field map `(batch, fields + sequences, width)`.
        """
        ids, pooled = all_ids(inputs, features)
        return self.pool(self.table(features, width=width)(ids if len(ids) > 1 else ids[0]), pooled)

    def with_linear(
        self, inputs: dict[str, Any], features: EncodedFeatures, *, width: int | None = None
    ) -> tuple[Any, Any]:
        """Embeds a batch, with first-order weights from the same gather.

        Args:
            inputs: What `encoded_inputs` gave.
            features: The description that the encoder gives.
            width: Numbers of each id, where a model cuts them into several vectors. Default `None`: `dim`.

        Returns:
            The field map `(batch, fields + sequences, width)` and the first-order weights
            `(batch, fields + sequences, 1)`.
        """
        ids, pooled = all_ids(inputs, features)
        table = self.table(features, width=width, linear=True)
        field_map, weights = table(ids if len(ids) > 1 else ids[0])
        return self.pool(field_map, pooled), self.pool(weights, pooled, "linear_pooling")


def all_ids(inputs: dict[str, Any], features: EncodedFeatures) -> tuple[list[Any], list[Any]]:
    """Returns the ids of all fields and sequences, and those of them that are pooled, which stand at the end.

    Args:
        inputs: What `encoded_inputs` gave.
        features: The description that the encoder gives.
    """
    pooled = [inputs[entry.key] for entry in features.own_entries]
    return ([inputs["fields"], *pooled] if features.single_valued else pooled), pooled
