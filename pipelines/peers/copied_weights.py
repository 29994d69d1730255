"""Models of ours with random weights, for comparisons with other libraries, and their weights in the peers' order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field
from dynctr_tf.models import build_model, model_entry

FIELD_SIZES = (5, 7, 6, 9)
"""Ids of each field of the comparison."""
EMBEDDING_DIM = 4
ROWS = 64
TOLERANCE = 1e-5
"""The largest difference of a click probability between ours and a peer's."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One model that a peer has.

    Args:
        model: Its name in the catalogue.
        options: Options of ours.
        peer: Its name in the peer.
        build: A function from our model to the peer's model, which copies the weights.
        note: Where the peer differs from the paper, and what is done about it; empty if it does not differ.
        history: Length of a history of the first field; 0 for none.
    """

    model: str
    options: dict[str, Any]
    peer: str
    build: Callable[[Ours], Any]
    note: str = ""
    history: int = 0


class Ours:
    """A model of the catalogue with random weights everywhere, so that confusing two of them changes the output."""

    def __init__(self, name: str, options: dict[str, Any], history: int = 0) -> None:
        fields, first = [], 1
        for index, size in enumerate(FIELD_SIZES):
            fields.append(Field(f"f{index}", "item", first, size))
            first += size
        # The history repeats the ids of the first field.
        histories = (EncodedSequence("history", "user", history, 1, FIELD_SIZES[0], field="f0"),) if history else ()
        self.features = EncodedFeatures(tuple(fields), histories)
        # Logistic regression has no embeddings.
        width = {"embedding.dim": EMBEDDING_DIM} if "embedding.dim" in model_entry(name).defaults else {}
        self.model = build_model(name, self.features, **width, **options)
        random = np.random.default_rng(len(name))
        self.model.set_weights([self._drawn(weight, random) for weight in self.model.weights])
        self.ids = np.stack([random.integers(0, size, ROWS) for size in FIELD_SIZES], axis=1)
        self.history = np.zeros((ROWS, 0), np.int64)
        if history:
            drawn = random.integers(0, FIELD_SIZES[0], (ROWS, history))
            # 0 is padding; each row has at least one behaviour.
            self.history = np.where(np.arange(history) < random.integers(1, history + 1, (ROWS, 1)), drawn + 1, 0)

    @staticmethod
    def _drawn(weight: Any, random: np.random.Generator) -> np.ndarray:
        shape = tuple(weight.shape)
        variance = "variance" in weight.name or "gamma" in weight.name
        return random.uniform(0.5, 1.5, shape) if variance else random.normal(0.0, 0.5, shape)

    def probabilities(self) -> np.ndarray:
        """The click probabilities of the rows, float64."""
        first = np.array([field.first_id for field in self.features.fields])
        batch = {"fields": (self.ids + first).astype(np.int32)}
        if self.history.size:
            batch["history"] = self.history.astype(np.int32)
        logits = np.asarray(self.model(batch, training=False), np.float64)[:, 0]
        return 1.0 / (1.0 + np.exp(-logits))

    def weights(self, layer: str) -> list[np.ndarray]:
        """The weights of one of our layers."""
        return [np.asarray(weight) for weight in self.model.get_layer(layer).get_weights()]

    def has(self, layer: str) -> bool:
        """Whether our model has a layer of this name."""
        return any(own.name == layer for own in self.model.layers)

    def tables(self, part: int = 0, parts: int = 1) -> list[np.ndarray]:
        """The embeddings of each field, `(ids, dim)`; or one of several parts that are side by side."""
        (table,) = self.weights("embedding")
        columns = slice(part * EMBEDDING_DIM, (part + 1) * EMBEDDING_DIM)
        if table.shape[1] not in (EMBEDDING_DIM * parts, EMBEDDING_DIM * parts + 1):
            raise ValueError(f"The table has {table.shape[1]} columns, which are not {parts} x {EMBEDDING_DIM}.")
        return [table[field.first_id : field.first_id + field.num_ids, columns] for field in self.features.fields]

    def first_order(self) -> list[np.ndarray]:
        """The first-order weights of each field, `(ids, 1)`; zeros if our model, like its paper, has none."""
        (table,) = self.weights("embedding")
        column = table[:, -1:] if table.shape[1] % EMBEDDING_DIM == 1 else np.zeros((len(table), 1))
        return [column[field.first_id : field.first_id + field.num_ids] for field in self.features.fields]

    def dense(self, layer: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Kernels and biases of an MLP, or of a plain dense layer."""
        weights = self.weights(layer)
        return weights[0::2], weights[1::2]


def clear() -> None:
    """Forgets the models built so far, so that the numbers in layer names begin with 0 again."""
    keras.backend.clear_session()


def cin_kernel(kernel: np.ndarray, fields: int) -> np.ndarray:
    """Our kernel of a CIN layer with its rows ordered by the field of X_0 first, as both peers have them."""
    rows, size = kernel.shape
    maps = rows // fields
    return kernel.reshape(maps, fields, size).transpose(1, 0, 2).reshape(rows, size)


def square_matrices(kernel: np.ndarray) -> np.ndarray:
    """Our matrices side by side, `(dim, count * dim)`, as `(count, dim, dim)`."""
    dim = kernel.shape[0]
    return kernel.reshape(dim, -1, dim).transpose(1, 0, 2)
