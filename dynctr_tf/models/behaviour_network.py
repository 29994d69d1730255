"""What all models of behaviours share: embeddings of history and query, an encoder, a decoder, a dense part."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.encoding.encoded_features import Sequence as History
from dynctr_tf.layers import MLP, DynamicConvolution, FieldSelection, QueryOperation
from dynctr_tf.models.parts import Embedding, encoded_inputs
from dynctr_tf.nearest import unknown_name_message


@dataclasses.dataclass(frozen=True)
class Behaviours:
    """A batch, embedded for a model of behaviours.

    Args:
        field_map: All fields and the pooled sequences, `(batch, fields, dim)`.
        query: The target's embeddings, side by side, `(batch, n)`.
        behaviours: The behaviours', `(batch, t, n)`.
        mask: Ids of the behaviours, `(batch, t)`; 0 is padding.
        parts: For each of the sequences its name, the embedding of its target, of its values, and its ids.
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


def _chosen_sequences(features: EncodedFeatures, sequences: Sequence[str] | None) -> list[History]:
    having = [sequence.name for sequence in features.sequences]
    for name in sequences or ():
        if name not in having:
            raise ValueError(unknown_name_message("sequence", name, having))
    chosen = [s for s in features.sequences if (s.field is not None if sequences is None else s.name in sequences)]
    if not chosen or any(sequence.field is None for sequence in chosen):
        raise ValueError(
            "A model of behaviours needs at least one sequence, and each to repeat the ids of a field, the target's "
            f"(shares_vocabulary_with in the schema); got {[(s.name, s.field) for s in chosen]} of {having}."
        )
    if len({sequence.length for sequence in chosen}) > 1:
        raise ValueError(
            "The sequences of the behaviours stand side by side and need one length (max_length in the schema), got "
            f"{ {s.name: s.length for s in chosen} }; choose some with `sequences`."
        )
    return chosen


def embedded_behaviours(
    inputs: dict[str, Any],
    features: EncodedFeatures,
    embedding: Embedding,
    sequences: Sequence[str] | None,
    width: int | None = None,
) -> Behaviours:
    """Embeds fields and behaviours with one table and one gather, the layer `"embedding"`.

    Args:
        inputs: What `encoded_inputs` gave.
        features: The description that the encoder gives.
        embedding: The embeddings.
        sequences: The sequences that are the behaviours; the others are pooled into fields. `None` for all that
            repeat the ids of a field.
        width: As `Embedding.table`. Default `None`.

    Raises:
        ValueError: No sequence, an unknown one, one that repeats no field, or different lengths.
    """
    chosen = _chosen_sequences(features, sequences)
    pooled = [inputs[field.key] for field in features.multi_valued]
    pooled += [inputs[sequence.key] for sequence in features.sequences if sequence not in chosen]
    single = [inputs["fields"]] if features.single_valued else []
    histories = [inputs[sequence.key] for sequence in chosen]
    rows = embedding.table(features, width=width)([*single, *pooled, *histories])
    count = sum(ids.shape[1] for ids in (*single, *pooled))
    field_map = embedding.pool(FieldSelection(list(range(count)), name="select_fields")(rows), pooled)
    parts = []
    for index, sequence in enumerate(chosen, start=1):
        values = FieldSelection(list(range(count, count + sequence.length)), name=f"select_history_{index}")(rows)
        count += sequence.length
        target = FieldSelection(features.positions(names=[str(sequence.field)]), name=f"select_target_{index}")
        flat = keras.layers.Flatten(name=f"target_{index}")(target(field_map))
        parts.append((sequence.name, flat, values, inputs[sequence.key]))
    query, behaviours = parts[0][1], parts[0][2]
    if len(parts) > 1:
        query = keras.layers.Concatenate(name="query")([part[1] for part in parts])
        behaviours = keras.layers.Concatenate(name="behaviours")([part[2] for part in parts])
    return Behaviours(field_map, query, behaviours, parts[0][3], tuple(parts))


def interests(
    batch: Behaviours,
    encode: Callable[[Behaviours], Any] | None,
    decode: Callable[[Behaviours, Any], Any] | None,
    *,
    homogeneous: bool,
    heterogeneous: bool,
    num_kernels: int,
    gate: Any,
    form: str,
    kernel_size: int,
    context: str,
) -> list[Any]:
    """Reads a history: encoder, decoder, and DPN's operations in their places or beside them.

    An encoder and the homogeneous operation are added and normalised; a decoder and the heterogeneous operation are
    both returned.

    Args:
        batch: The embedded batch.
        encode: From the batch to the encoded behaviours; `None` for none.
        decode: From the batch and the encoded behaviours to a vector; `None` for none.
        homogeneous: Whether there is a `DynamicConvolution`.
        heterogeneous: Whether there is a `QueryOperation`.
        num_kernels: Of both operations.
        gate: Of both operations.
        form: Of the convolution.
        kernel_size: Of the convolution.
        context: Of both operations.
    """
    encoded = batch.behaviours if encode is None else encode(batch)
    if homogeneous:
        convolution = DynamicConvolution(
            None, kernel_size, form, num_kernels, gate=gate, context=context, name="homogeneous"
        )
        convolved = convolution(batch.behaviours, mask=batch.mask)
        if encode is None and decode is None:
            encoded = convolved
        else:
            added = stack.Sum(name="encoders")([encoded, convolved])
            encoded = keras.layers.LayerNormalization(epsilon=1e-6, name="encoder_norm")(added)
    found = [] if decode is None else [decode(batch, encoded)]
    if heterogeneous:
        operation = QueryOperation(batch.query.shape[-1], num_kernels, gate=gate, context=context, name="heterogeneous")
        found.append(operation(batch.query, encoded, mask=batch.mask))
    return found


def behaviour_network(
    features: EncodedFeatures,
    encode: Callable[[Behaviours], Any] | None,
    decode: Callable[[Behaviours, Any], Any] | None,
    *,
    embedding: Embedding,
    hidden_units: Sequence[int],
    homogeneous: bool,
    heterogeneous: bool,
    num_kernels: int,
    gate: Any,
    form: str,
    kernel_size: int,
    context: str,
    sequences: Sequence[str] | None,
    activation: Any,
    batch_norm: bool,
    dropout: float,
    kernel_regularizer_l2: float,
    name: str,
) -> Any:
    """Builds a model of behaviours.

    Use it for models of this family; they differ in encoder and decoder alone.

    Args:
        features: The description that the encoder gives.
        encode: As `interests`.
        decode: As `interests`.
        embedding: The embeddings.
        hidden_units: Widths of the dense layers.
        homogeneous: As `interests`.
        heterogeneous: As `interests`.
        num_kernels: As `interests`.
        gate: As `interests`.
        form: As `interests`.
        kernel_size: As `interests`.
        context: As `interests`.
        sequences: As `embedded_behaviours`.
        activation: Of the dense layers.
        batch_norm: Whether they are normalised over the batch.
        dropout: Share of their outputs dropped in training.
        kernel_regularizer_l2: L2 penalty of their kernels.
        name: The model's name.

    Raises:
        ValueError: As `embedded_behaviours`.
    """
    inputs = encoded_inputs(features)
    batch = embedded_behaviours(inputs, features, embedding, sequences)
    vectors = interests(
        batch,
        encode,
        decode,
        homogeneous=homogeneous,
        heterogeneous=heterogeneous,
        num_kernels=num_kernels,
        gate=gate,
        form=form,
        kernel_size=kernel_size,
        context=context,
    )
    x = keras.layers.Concatenate(name="concatenate")([keras.layers.Flatten(name="flatten")(batch.field_map), *vectors])
    x = MLP(
        hidden_units,
        activation=activation,
        batch_norm=batch_norm,
        dropout=dropout,
        kernel_regularizer=keras.regularizers.L2(kernel_regularizer_l2) if kernel_regularizer_l2 else None,
        name="mlp",
    )(x)
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="logit")(x), name=name)
