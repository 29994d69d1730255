"""What a sparse optimizer has removed: zero rows per field, zero weights per variable."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.evaluation.text_table import align, percent
from dynctr_tf.layers import BlockEmbedding, FieldEmbedding, KeyEmbedding
from dynctr_tf.layers.embedding.block_embedding import FIRST_ORDER
from dynctr_tf.training.key_rows import key_layers

ROWS_AT_A_TIME = 1 << 18


@dataclasses.dataclass(frozen=True)
class ZeroShare:
    """How many of something are exactly zero.

    Args:
        name: Of a field, or the path of a variable.
        total: The number of rows of the field, or of weights of the variable.
        zero: How many of them are zero.

    Example:

    >>> ZeroShare("user", total=200, zero=50).share
    0.25
    """

    name: str
    total: int
    zero: int

    @property
    def share(self) -> float:
        """The share that is zero; 0 where there is nothing."""
        return self.zero / self.total if self.total else 0.0


@dataclasses.dataclass(frozen=True)
class SparsityReport:
    """What is zero in a trained model.

    Args:
        fields: For each field the rows of the embedding tables in its block of ids whose weights are all zero; of
            all tables, where a model has several or one for each scenario. For a table of keys, which belong to no
            field, one line with the layer's name, of the rows that keys have.
            Empty where no description of the data was given. The padding row belongs to no field.
        variables: For each trainable variable its weights that are zero.
        removed: The paths of the trainable matrices of which no weight is left, tables among them. What is computed
            from one of them alone is the same for every row.

    Example:

    >>> print(SparsityReport((ZeroShare("user", 4, 1),), (ZeroShare("table", 10, 5),)).to_text())
    field       rows  zero   share
    ------------------------------
    user           4     1  25.0 %
    all fields     4     1  25.0 %
    <BLANKLINE>
    variable       weights  zero   share
    ------------------------------------
    table               10     5  50.0 %
    all variables       10     5  50.0 %
    """

    fields: tuple[ZeroShare, ...]
    variables: tuple[ZeroShare, ...]
    removed: tuple[str, ...] = ()

    @property
    def all_fields(self) -> ZeroShare:
        """The rows of all fields together."""
        return _together("all fields", self.fields)

    @property
    def all_variables(self) -> ZeroShare:
        """The weights of all variables together."""
        return _together("all variables", self.variables)

    def to_text(self) -> str:
        """Returns the report as tables to print."""
        lines = []
        if self.fields:
            lines += [*_table("field", "rows", (*self.fields, self.all_fields)), ""]
        lines += _table("variable", "weights", (*self.variables, self.all_variables))
        return "\n".join(lines)


def sparsity_report(model: Any, features: EncodedFeatures | None = None, table: Any = None) -> SparsityReport:
    """Counts what is exactly zero in a model after training.

    Use it after training with `GroupFtrl` to see which ids and weights it has removed. With
    `untouched_rows="zero"` the ids that training never met are among the zero rows.

    Args:
        model: A built Keras model.
        features: The description of the data it was trained on, for the report by field. Default `None`:
            by variable only.
        table: The embedding table of all the fields, a variable of shape (ids, dim), or (n * ids, dim) for n tables
            one below the other. Default `None`: the tables of the model's `FieldEmbedding` layers, those of some
            fields each and those for each scenario too; in a model without them the only trainable variable of rank 2
            that has as many rows as `features` has ids.

    Raises:
        ValueError: The model has no trainable variable, the table is not found or not unique, or its number of rows
            is not a multiple of the number of ids of the data.

    Cost: one pass over the weights, in pieces: no copy of a table is made.

    Example:

    >>> from tensorflow import keras
    >>> model = keras.Sequential([keras.layers.Embedding(4, 2), keras.layers.Dense(1)])
    >>> model.build((None, 2))
    >>> model.layers[0].set_weights([np.array([[0, 0], [0, 0], [0, 1], [1, 1.0]])])
    >>> report = sparsity_report(model, EncodedFeatures.from_sizes([1, 2]))
    >>> [(field.name, field.zero, field.total) for field in report.fields]
    [('f0', 1, 1), ('f1', 0, 2)]
    """
    variables = stack.whole_variables(model.trainable_variables)
    if not variables:
        raise ValueError(f"The model {model.name!r} has no trainable variable; is it built?")
    shares = tuple(_zero_weights(variable) for variable in variables)
    removed = tuple(
        share.name
        for variable, share in zip(variables, shares, strict=True)
        if len(variable.shape) > 1 and 0 < share.total == share.zero
    )
    if features is None:
        return SparsityReport((), shares, removed)
    keyed = key_layers(model) if table is None else []
    if keyed:
        return SparsityReport(tuple(_zero_rows_of_keys(layer) for layer in keyed), shares, removed)
    blocks = _tables_of_blocks(model) if table is None else []
    if blocks:
        return SparsityReport(_by_field([_zero_rows_of_blocks(blocks, features)], features), shares, removed)
    tables = _find_tables(model, variables, features) if table is None else [table]
    for found in tables:
        if len(found.shape) != 2 or found.shape[0] % features.num_ids:
            raise ValueError(
                f"The embedding table must have shape (ids, dim) with {features.num_ids} ids, or a multiple of them, "
                f"got {tuple(found.shape)}."
            )
    zero_rows = (np.logical_not(piece.any(axis=1)) for found in tables for piece in _pieces(found))
    return SparsityReport(_by_field(zero_rows, features), shares, removed)


def removed_message(removed: Sequence[str]) -> str:
    """Says which matrices an optimizer has removed, and what keeps them; empty where there is none.

    Args:
        removed: Their paths, as in `SparsityReport.removed`.

    Example:

    >>> print(removed_message(["da_1/generator/kernel_1"]))
    No weight is left of da_1/generator/kernel_1: what it gives is the same for every row.
    Under FTRL the options dense_initial_weights = "keep" or a smaller dense_l1 of the optimizer keep weights.
    """
    if not removed:
        return ""
    gives = "it gives" if len(removed) == 1 else "each of them gives"
    return (
        f"No weight is left of {', '.join(removed)}: what {gives} is the same for every row.\n"
        'Under FTRL the options dense_initial_weights = "keep" or a smaller dense_l1 of the optimizer keep weights.'
    )


def _by_field(zero_rows: Iterable[np.ndarray], features: EncodedFeatures) -> tuple[ZeroShare, ...]:
    """Counts rows by the field that their id belongs to.

    Args:
        zero_rows: Which rows are zero, in pieces: those of all ids, one table or several one after another.
        features: The description of the data.
    """
    first = np.array([field.first_id for field in features.fields])
    end = np.array([field.first_id + field.num_ids for field in features.fields])
    total, zero = (np.zeros(len(first), np.int64) for _ in range(2))
    place = 0  # of the first row of the piece, among the ids of its table
    for piece in zero_rows:
        while len(piece):
            part, piece = piece[: features.num_ids - place], piece[features.num_ids - place :]
            before = np.concatenate([[0], np.cumsum(part)])  # how many are zero before each row
            start, stop = (np.clip(edge - place, 0, len(part)) for edge in (first, end))
            total += stop - start
            zero += before[stop] - before[start]
            place = (place + len(part)) % features.num_ids
    counted = zip(features.fields, total.tolist(), zero.tolist(), strict=True)
    return tuple(ZeroShare(field.name, rows, empty) for field, rows, empty in counted)


def _tables_of_blocks(model: Any) -> list[BlockEmbedding]:
    """The layers that have a table of some fields each; not those of first-order weights beside another table."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, BlockEmbedding) and layer.built]
    return [layer for layer in layers if not layer.name.endswith(FIRST_ORDER)]


def _zero_rows_of_blocks(layers: list[BlockEmbedding], features: EncodedFeatures) -> np.ndarray:
    """Which ids have a row that is zero in the tables of their blocks, `(ids,)`."""
    zero = np.ones(features.num_ids, bool)
    found = np.zeros(features.num_ids, bool)
    for layer in layers:
        rows = np.concatenate([~piece.any(axis=1) for piece in _pieces(layer.table)])
        for first, count in layer.blocks:
            block = slice(first, first + count)
            found[block] = True
            zero[block] &= rows[layer.rows_of(first, count)]
    absent = [entry.name for entry in features.entries if not found[entry.first_id]]
    if absent:
        raise ValueError(f"No BlockEmbedding of the model has the rows of {absent}; give the argument table.")
    return zero


def _zero_rows_of_keys(layer: KeyEmbedding) -> ZeroShare:
    zero = np.concatenate([~piece.any(axis=1) for piece in _pieces(layer.table)])
    used = stack.raw_variable(layer.keys).numpy() != 0
    return ZeroShare(layer.name, int(used.sum()), int((zero & used).sum()))


def _find_tables(model: Any, variables: list[Any], features: EncodedFeatures) -> list[Any]:
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, FieldEmbedding) and layer.built]
    tables = [layer.table for layer in layers if layer.num_ids % features.num_ids == 0]
    if tables:
        return tables
    found = [variable for variable in variables if len(variable.shape) == 2 and variable.shape[0] == features.num_ids]
    if len(found) != 1:
        candidates = [(stack.variable_path(variable), tuple(variable.shape)) for variable in found or variables]
        raise ValueError(
            f"Expected one trainable variable with {features.num_ids} rows, as many as the data has ids, found "
            f"{len(found)} of {candidates}. Give the embedding table as `table`."
        )
    return found


def _pieces(variable: Any) -> Iterator[np.ndarray]:
    return stack.row_pieces(variable, ROWS_AT_A_TIME)


def _zero_weights(variable: Any) -> ZeroShare:
    total = int(np.prod(variable.shape, dtype=np.int64))
    kept = sum(int(np.count_nonzero(piece)) for piece in _pieces(variable))
    return ZeroShare(stack.variable_path(variable), total, total - kept)


def _together(name: str, shares: tuple[ZeroShare, ...]) -> ZeroShare:
    return ZeroShare(name, sum(share.total for share in shares), sum(share.zero for share in shares))


def _table(what: str, unit: str, shares: tuple[ZeroShare, ...]) -> list[str]:
    return align(
        [(what, unit, "zero", "share"), *((s.name, str(s.total), str(s.zero), percent(s.share)) for s in shares)]
    )
