"""From a trained model to one with a larger id space: weights and optimizer state; rows follow their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.encoding.growth import IdMap
from dynctr_tf.layers import BlockEmbedding, FieldEmbedding, GroupCondition, KeyEmbedding, ScenarioFieldEmbedding
from dynctr_tf.optimizers.composite_optimizer import CompositeOptimizer
from dynctr_tf.stack import (
    RuleOptimizer,
    assign_state,
    input_is_used,
    learning_rate_variable,
    optimizer_state,
    random_states,
    raw_variable,
    slots_of,
    variable_path,
)
from dynctr_tf.training.carry_keys import carry_keys
from dynctr_tf.training.key_rows import key_layers


@dataclasses.dataclass(frozen=True, eq=False)
class _Rows:
    """Where the rows of a table were before, and which rows are new."""

    before: np.ndarray
    is_new: np.ndarray


def carry_over(
    before: keras.Model,
    after: keras.Model,
    ids: IdMap,
    optimizer_before: Any = None,
    optimizer_after: Any = None,
) -> None:
    """Gives a model with a larger id space the weights of the model before, and gives its optimizer the state.

    Use it with two models that the same function made, `build(encoder.features)`, for two encoders of one schema, also
    with a function and layers of your own. Each row of a table goes to the id that its value has now. A new value
    starts from its field's unknown row, so that the model answers as it did, until it trains; its optimizer state is
    that of a row which has had no gradient. The rows of values that have no id any more are left out.

    These have rows by id: the tables of `FieldEmbedding`, `BlockEmbedding`, `ScenarioFieldEmbedding`,
    `keras.layers.Embedding` and `GroupCondition`, and the weights of any layer of your own whose attribute `num_ids`
    is `features.num_ids` and whose first axis is as long. All other weights must have one shape in both models. Layers
    with weights for each scenario or group need as many of these as before: keep the vocabularies of
    `indexed_features` as they are. The rows of a `KeyEmbedding` stay with its keys; where its keys are ids of an
    encoded batch (`keys_are_ids`), those of vocabularies move with their values.

    Args:
        before: The trained model.
        after: The new one; its weights are overwritten.
        ids: What `dynctr_tf.encoding.id_map` says of the two encoders.
        optimizer_before: The optimizer of the trained model, built. Default `None`: weights alone are carried over.
        optimizer_after: The one of the new model, built, of the same kind; its learning rates stay as they are. Weights
            that FTRL makes of its state are kept at another rate too.

    Raises:
        ValueError: Models or optimizers that are not of one kind, or a weight whose shape differs for another reason
            than more ids.

    Cost:
        One pass over the weights and the state; both models are in memory.
    """
    if len(before.weights) != len(after.weights):
        raise ValueError(
            f"The models are not of one kind: {len(before.weights)} weights before, {len(after.weights)} after."
        )
    tables = dict(_tables(before, after, ids))
    rows_of: dict[int, _Rows] = {}
    for old, new in zip(before.weights, after.weights, strict=True):
        rows = tables.get(id(raw_variable(new)))
        if rows is not None:
            rows_of[id(raw_variable(new))] = rows
        _assign(old, new, rows, variable_path(new), keep_new=False)
    for old, new in zip(random_states(before), random_states(after), strict=True):
        new.assign(old)
    if (optimizer_before is None) != (optimizer_after is None):
        raise ValueError("Give both optimizers, or none of them.")
    if optimizer_after is not None:
        _carry_optimizer(after, optimizer_before, optimizer_after, rows_of)
    for layer in key_layers(after):
        if layer.keys_are_ids and not ids.changes_nothing:
            own = carry_keys(layer, ids, optimizer_after)
            if optimizer_after is not None:
                keep_weights(optimizer_after, layer.table, own)


def indexed_features(model: keras.Model, features: EncodedFeatures) -> list[str]:
    """Returns the features that give a model a scenario or group index, and so weights for each of their values.

    Their vocabularies must not grow: a new scenario is answered as the unknown one until a model is trained again.

    Args:
        model: The model.
        features: The description that the encoder gives.

    Example:

    >>> from dynctr_tf.encoding import EncodedFeatures, Field
    >>> from dynctr_tf.models import dnn, star
    >>> features = EncodedFeatures((Field("page", "scenario", 1, 5), Field("item", "item", 6, 9)), num_scenarios=5)
    >>> indexed_features(dnn(features), features), indexed_features(star(features), features)
    ([], ['page'])
    """
    used = [role for role in ("scenario", "group") if input_is_used(model, role)]
    return [field.name for field in features.fields if field.role in used]


def _tables(before: keras.Model, after: keras.Model, ids: IdMap) -> Iterator[tuple[int, _Rows]]:
    """The variables of the new model that have rows by id."""
    every = _Rows(ids.rows, ids.is_new)
    taken: set[int] = set()
    for old, new in zip(before._flatten_layers(), after._flatten_layers(), strict=True):
        if isinstance(new, ScenarioFieldEmbedding):
            # A table of all ids for each scenario, one after another.
            offsets = np.arange(new.num_real)[:, np.newaxis]
            tiled = (ids.rows + offsets * ids.before.num_ids).reshape(-1)
            rows = _Rows(tiled, np.tile(ids.is_new, new.num_real))
            size = ids.after.num_ids * new.num_real
            taken.add(id(new.tables))
        elif isinstance(new, GroupCondition) and new.column is not None:
            block = slice(new.first_id, new.first_id + new.num_groups)
            rows, size = _Rows(ids.rows[block] - old.first_id, ids.is_new[block]), new.num_groups
        elif isinstance(new, BlockEmbedding):
            rows, size = _rows_of_blocks(old, new, ids), new.num_rows
        elif id(new) in taken or isinstance(new, KeyEmbedding):
            continue  # what was yielded above, and rows that belong to keys
        elif isinstance(new, keras.layers.Embedding):
            rows, size = every, new.input_dim
        elif isinstance(new, FieldEmbedding) or hasattr(new, "num_ids"):
            rows, size = every, new.num_ids
        else:
            continue
        if rows is every and size != ids.after.num_ids:
            continue  # a table of something else, which must be as large as before
        for variable in new.weights:
            if variable.shape and variable.shape[0] == size:
                yield id(raw_variable(variable)), rows


def _rows_of_blocks(old: BlockEmbedding, new: BlockEmbedding, ids: IdMap) -> _Rows:
    """Where the rows of a table of some blocks stood before."""
    place_before = np.zeros(ids.before.num_ids, np.int64)
    place_before[_ids_of(old)] = np.arange(1, old.num_rows)
    own = _ids_of(new)
    return _Rows(
        np.concatenate([[0], place_before[ids.rows[own]]]).astype(np.int32), np.concatenate([[False], ids.is_new[own]])
    )


def _ids_of(layer: BlockEmbedding) -> np.ndarray:
    return np.concatenate([np.arange(first, first + count) for first, count in layer.blocks])


def _assign(old: Any, new: Any, rows: _Rows | None, path: str, *, keep_new: bool) -> None:
    """Gives a variable the values of the one before.

    Args:
        old: The variable before.
        new: The variable.
        rows: Where its rows stood, `None` where they have not moved.
        path: The variable's name.
        keep_new: Whether new rows keep their values; if not, they get those of their field's unknown row.
    """
    old_shape, new_shape = tuple(old.shape), tuple(new.shape)
    moved = rows is not None and bool(new_shape) and new_shape[0] == len(rows.before)
    if old_shape[1:] != new_shape[1:] or (not moved and old_shape != new_shape):
        raise ValueError(
            f"The weights {path} have the shape {new_shape}, before {old_shape}. Rows by id are known of the layers "
            "FieldEmbedding, ScenarioFieldEmbedding, keras.layers.Embedding and those with an attribute num_ids; of "
            "other layers all shapes must be the same. Was another model or option given?"
        )
    raw_old, raw_new = raw_variable(old), raw_variable(new)
    if rows is None or not moved:
        assign_state(new, tf.convert_to_tensor(raw_old))
        return
    values = tf.gather(raw_old, rows.before)
    if keep_new and rows.is_new.any():
        new_rows = tf.reshape(tf.constant(rows.is_new), [-1] + [1] * (len(new_shape) - 1))
        values = tf.where(new_rows, tf.convert_to_tensor(raw_new), values)
    raw_new.assign(values)


def _members(optimizer: Any) -> list[Any]:
    return [optimizer, *(optimizer.members() if isinstance(optimizer, CompositeOptimizer) else [])]


def _state(optimizer: Any) -> list[Any]:
    """The variables of an optimizer except its learning rates, which are settings."""
    rates = {id(raw_variable(rate)) for rate in map(_rate_of, _members(optimizer)) if rate is not None}
    return [variable for variable in optimizer_state(optimizer) if id(raw_variable(variable)) not in rates]


def _rate_of(optimizer: Any) -> Any:
    # A member that has none of the variables is not built, and has no learning rate yet.
    return learning_rate_variable(optimizer) if optimizer_state(optimizer) else None


def _carry_optimizer(model: keras.Model, before: Any, after: Any, rows_of: dict[int, _Rows]) -> None:
    old_state, new_state = _state(before), _state(after)
    if type(before) is not type(after) or len(old_state) != len(new_state):
        raise ValueError(
            f"The optimizers are not of one kind: {type(before).__name__} with {len(old_state)} variables before, "
            f"{type(after).__name__} with {len(new_state)} after."
        )
    slots: dict[int, _Rows] = {}
    for variable in model.trainable_variables:
        rows = rows_of.get(id(raw_variable(variable)))
        if rows is not None:
            member = after.member_of(variable) if isinstance(after, CompositeOptimizer) else after
            slots.update({id(slot): rows for slot in slots_of(member, variable)})
    for old, new in zip(old_state, new_state, strict=True):
        _assign(old, new, slots.get(id(raw_variable(new))), f"of the optimizer, {variable_path(new)},", keep_new=True)
    pairs = zip(_members(before), _members(after), strict=True)
    at_another_rate = {id(new) for old, new in pairs if _rate(old) != _rate(new)}
    for variable in model.trainable_variables:
        member = after.member_of(variable) if isinstance(after, CompositeOptimizer) else after
        rows = rows_of.get(id(raw_variable(variable)))
        if isinstance(member, RuleOptimizer) and id(member) in at_another_rate:
            _keep_weights(member, variable, None)
        elif isinstance(member, RuleOptimizer) and rows is not None and rows.is_new.any():
            _keep_weights(member, variable, np.flatnonzero(rows.is_new))


def keep_weights(optimizer: Any, variable: Any, places: np.ndarray) -> None:
    """Lets an optimizer go on from weights that some rows of a variable were given since it was built.

    Weights that FTRL makes of its state would be what they were before at the next step.

    Args:
        optimizer: The optimizer, built.
        variable: A variable that it trains.
        places: The rows.
    """
    member = optimizer.member_of(variable) if isinstance(optimizer, CompositeOptimizer) else optimizer
    if isinstance(member, RuleOptimizer) and len(places):
        _keep_weights(member, variable, places)


def _rate(optimizer: Any) -> float | None:
    rate = _rate_of(optimizer)
    return None if rate is None else float(tf.convert_to_tensor(rate))


def _keep_weights(member: RuleOptimizer, variable: Any, places: np.ndarray | None) -> None:
    """Gives a variable, or some rows of it, the slots with which its optimizer goes on from the weights that it has."""
    weights, slots = raw_variable(variable), member.slots_of(variable)

    def read(one: tf.Variable) -> tf.Tensor:
        return tf.convert_to_tensor(one) if places is None else tf.gather(one, places)

    rate = tf.cast(tf.convert_to_tensor(member.learning_rate), weights.dtype)
    own = {name: read(slot) for name, slot in slots.items()}
    for name, values in member.slots_that_keep(read(weights), own, rate).items():
        if places is None:
            slots[name].assign(values)
        else:
            slots[name].scatter_update(tf.IndexedSlices(values, places))
