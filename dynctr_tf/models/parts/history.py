"""The history of behaviours that sequence models read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field
from dynctr_tf.layers import DynamicConvolution, FieldSelection, QueryOperation
from dynctr_tf.models.parts.embedding import Embedding
from dynctr_tf.models.parts.flat import flat
from dynctr_tf.models.parts.part import Part
from dynctr_tf.nearest import unknown_name_message


@dataclasses.dataclass(frozen=True)
class Behaviours:
    """A batch, embedded for a model of behaviours.

    Args:
        field_map: All fields and the pooled sequences, `(batch, fields, dim)`.
        query: The target's embeddings, side by side, `(batch, n)`.
        behaviours: The behaviours', `(batch, t, n)`.
        mask: Ids of the behaviours, `(batch, t)`; 0 is padding.
        parts: For each sequence its name, the embeddings of its target and of its values, and its ids.
    """

    field_map: Any
    query: Any
    behaviours: Any
    mask: Any
    parts: tuple[tuple[str, Any, Any, Any], ...]

    def keyed(self, key: str | None) -> tuple[Any, Any, Any]:
        """Gives the target, the values and the ids of one sequence.

        Args:
            key: Its name; `None` for the last one.

        Raises:
            ValueError: No sequence among the behaviours has this name.
        """
        names = [part[0] for part in self.parts]
        if key is not None and key not in names:
            raise ValueError(unknown_name_message("sequence of keys", key, names))
        _, target, values, ids = self.parts[-1 if key is None else names.index(key)]
        return target, values, ids


Encoder = Callable[[Behaviours], Any]
Decoder = Callable[[Behaviours, Any], Any]


@dataclasses.dataclass(frozen=True, repr=False)
class History(Part):
    """The sequences that are the behaviours, and DPN's operations that read them.

    Use it as the option `history` of sequence models. The homogeneous operation, a dynamic convolution over the
    behaviours, is beside the encoder: both outputs are added and normalised. The heterogeneous operation, the query
    transformed by the behaviours, is beside the decoder: their vectors are joined.

    Args:
        sequences: The sequences that are the behaviours, side by side. Each repeats the ids of a field, which is its
            part of the query; other sequences are pooled into fields. Default `None`: all that repeat a field.
        homogeneous: Whether there is the homogeneous operation. Default `False`.
        heterogeneous: Whether there is the heterogeneous operation. Default `False`.
        num_kernels: Number l of kernels of an operation. Default 4.
        gate_activation: Activation of their weights. Default `"softmax"`.
        convolution_kind: Kind of the dynamic convolution, see `DynamicConvolution`. Default `"full"`.
        kernel_size: Its odd number of taps. Default 3.
        context_kind: The context from which both operations generate, see `SequenceContext`. Default `"none"`.

    Raises:
        ValueError: A value of another type or out of range.

    Example:

    >>> History(heterogeneous=True, num_kernels=8)
    History(heterogeneous=True, num_kernels=8)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, equations 6 to 8; how the
        operations are joined to encoder and decoder is our reading.
    """

    sequences: Sequence[str] | None = None
    homogeneous: bool = False
    heterogeneous: bool = False
    num_kernels: int = 4
    gate_activation: str = "softmax"
    convolution_kind: str = "full"
    kernel_size: int = 3
    context_kind: str = "none"

    def behaviours(
        self, inputs: dict[str, Any], features: EncodedFeatures, embedding: Embedding, width: int | None = None
    ) -> Behaviours:
        """Embeds fields and behaviours with one table and one gather, the layer `"embedding"`.

        Args:
            inputs: The result of `encoded_inputs`.
            features: The description that the encoder gives.
            embedding: The embeddings.
            width: As `Embedding.table`. Default `None`.

        Raises:
            ValueError: No sequence, an unknown one, one that repeats no field, or different lengths.
        """
        chosen = self._chosen_sequences(features)
        others: list[Field | EncodedSequence] = [*features.multi_valued]
        others += [sequence for sequence in features.sequences if sequence not in chosen]
        pooled = [inputs[entry.key] for entry in others]
        single = [inputs["fields"]] if features.single_valued else []
        histories = [inputs[sequence.key] for sequence in chosen]
        entries: list[Field | EncodedSequence] = [*features.single_valued, *others, *chosen]
        rows = embedding.table(features, width=width, entries=entries)([*single, *pooled, *histories])
        count = sum(ids.shape[1] for ids in (*single, *pooled))
        field_map = embedding.pool(FieldSelection(list(range(count)), name="select_fields")(rows), pooled)
        parts = []
        for index, sequence in enumerate(chosen, start=1):
            values = FieldSelection(list(range(count, count + sequence.length)), name=f"select_history_{index}")(rows)
            count += sequence.length
            target = FieldSelection(features.positions(names=[str(sequence.field)]), name=f"select_target_{index}")
            parts.append((sequence.name, flat(target(field_map), f"target_{index}"), values, inputs[sequence.key]))
        query, behaviours = parts[0][1], parts[0][2]
        if len(parts) > 1:
            query = keras.layers.Concatenate(name="query")([part[1] for part in parts])
            behaviours = keras.layers.Concatenate(name="behaviours")([part[2] for part in parts])
        return Behaviours(field_map, query, behaviours, parts[0][3], tuple(parts))

    def interests(
        self, batch: Behaviours, encode: Encoder | None, decode: Decoder | None, *, operation_alone: bool = False
    ) -> list[Any]:
        """Reads a history: encoder, decoder, and the operations in their places or beside them.

        Args:
            batch: The embedded batch.
            encode: A function from the batch to the encoded behaviours; `None` for none.
            decode: A function from the batch and the encoded behaviours to a vector; `None` for none.
            operation_alone: Whether the homogeneous operation alone is the encoder if there is no other; else its
                output is added to the behaviours for the decoder. Default `False`.

        Returns:
            The vectors of the decoder and of the heterogeneous operation, if there are any.
        """
        options: dict[str, Any] = {"gate_activation": self.gate_activation, "context_kind": self.context_kind}
        encoded = batch.behaviours if encode is None else encode(batch)
        if self.homogeneous:
            convolution = DynamicConvolution(
                None, self.kernel_size, self.convolution_kind, self.num_kernels, name="homogeneous", **options
            )
            convolved = convolution(batch.behaviours, mask=batch.mask)
            if encode is None and (decode is None or operation_alone):
                encoded = convolved
            else:
                added = stack.Sum(name="encoders")([encoded, convolved])
                encoded = keras.layers.LayerNormalization(epsilon=1e-6, name="encoder_norm")(added)
        found = [] if decode is None else [decode(batch, encoded)]
        if self.heterogeneous:
            operation = QueryOperation(batch.query.shape[-1], self.num_kernels, name="heterogeneous", **options)
            found.append(operation(batch.query, encoded, mask=batch.mask))
        return found

    def _chosen_sequences(self, features: EncodedFeatures) -> list[EncodedSequence]:
        names, having = self.sequences, [sequence.name for sequence in features.sequences]
        for name in names or ():
            if name not in having:
                raise ValueError(unknown_name_message("sequence", name, having))
        chosen = [s for s in features.sequences if (s.field is not None if names is None else s.name in names)]
        if not chosen or any(sequence.field is None for sequence in chosen):
            raise ValueError(
                "A model of behaviours needs at least one sequence, and each to repeat the ids of a field, the "
                "target's (shares_vocabulary_with in the schema); got "
                f"{[(s.name, s.field) for s in chosen]} of {having}."
            )
        if len({sequence.length for sequence in chosen}) > 1:
            raise ValueError(
                "The sequences of the behaviours are joined and need one length (max_length in the schema), "
                f"got { {s.name: s.length for s in chosen} }; choose some with history.sequences."
            )
        return chosen
