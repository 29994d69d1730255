"""The embeddings of a model whose ids have no vocabulary."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field
from dynctr_tf.layers import KeyEmbedding
from dynctr_tf.models.parts.embedding import Embedding


@dataclasses.dataclass(frozen=True, repr=False)
class KeyedEmbedding(Embedding):
    """The embeddings of int64 keys without a vocabulary: one `KeyEmbedding` of all fields, the layer `"embedding"`.

    Use it as the option `embedding` of a model whose features are `EncodedFeatures.of_keys`.

    Args:
        dim: As `Embedding`. Default 16.
        initial_scale: As `Embedding`. Default 0.01.
        pooling: As `Embedding`. Default `"mean"`.
        row_regularizer_l2: As `Embedding`. Default 0.0.
        sizes: None: all keys share one table. Default none.
        frozen: None, for the same reason. Default none.
        num_keys: How many keys can have a row at a time. Default 1000000.
        index_kind: As `KeyEmbedding`. Default `"tensorflow"`.

    Raises:
        ValueError: As `Embedding`; fields with sizes of their own or frozen ones; another kind of index.
        ImportError: As `KeyEmbedding`.

    Example:

    >>> from dynctr_tf.models import dnn
    >>> features = EncodedFeatures.of_keys(["user", "item"])
    >>> model = dnn(features, embedding=KeyedEmbedding(4, num_keys=100))
    >>> model.input["fields"].dtype, model.get_layer("embedding").num_keys
    ('int64', 100)
    """

    num_keys: int = 1_000_000
    index_kind: str = "tensorflow"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sizes or self.frozen:
            raise ValueError(
                f"All keys share one table, in which no field has a size of its own or is frozen; got "
                f"sizes={self.sizes!r} and frozen={self.frozen!r}."
            )

    def table(
        self,
        features: EncodedFeatures,
        *,
        width: int | None = None,
        linear: bool = False,
        entries: Sequence[Field | EncodedSequence] | None = None,
    ) -> Callable[[Any], Any]:
        """Makes the layer of the table, as `Embedding.table`."""
        layer: Callable[[Any], Any] = KeyEmbedding(
            self.num_keys,
            self.dim if width is None else width,
            linear=linear,
            index_kind=self.index_kind,
            name="embedding",
            **self.row_options(),
        )
        return layer
