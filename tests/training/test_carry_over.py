"""Models with grown id spaces: old ids are answered as before to the bit, new ones as unknown ones, state by value."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding import EncodedFeatures, Field, IdMap
from dynctr_tf.encoding.encoded_features import EncodedSequence
from dynctr_tf.layers import FieldEmbedding, KeyEmbedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers import CompositeOptimizer, GroupFtrl
from dynctr_tf.optimizers.registry import OPTIMIZERS, make_optimizer
from dynctr_tf.training import carry_over, indexed_features, restore_training, set_seed, train

ROWS = 64
SIZES = {"user": 20, "scenario_id": 5, "item": 10, "hour": 8, "tags": 9}
GROWN = {"user": 24, "scenario_id": 5, "item": 13, "hour": 8, "tags": 12}


def features_of(sizes: dict[str, int]) -> EncodedFeatures:
    roles = {"user": "user", "scenario_id": "scenario", "item": "item", "hour": "group", "tags": "item"}
    fields, first = [], 1
    for name, size in sizes.items():
        fields.append(Field(name, roles[name], first, size, max_values=3 if name == "tags" else 1))
        first += size
    history = EncodedSequence("history", "user", 4, fields[2].first_id, sizes["item"], field="item")
    return EncodedFeatures(tuple(fields), (history,), sizes["scenario_id"], sizes["hour"])


BEFORE, AFTER = features_of(SIZES), features_of(GROWN)


def grown_ids() -> IdMap:
    """Users have lost two values in the middle and won six at the end; items and tags have won three."""
    rows, is_new = np.zeros(AFTER.num_ids, np.int32), np.zeros(AFTER.num_ids, bool)
    for old, new in zip(BEFORE.fields, AFTER.fields, strict=True):
        kept = [place for place in range(old.num_ids) if old.name != "user" or place not in (7, 11)]
        block = [*kept, *[1] * (new.num_ids - len(kept))]
        rows[new.first_id : new.first_id + new.num_ids] = old.first_id + np.array(block)
        is_new[new.first_id + len(kept) : new.first_id + new.num_ids] = True
    return IdMap(BEFORE, AFTER, rows, is_new)


IDS = grown_ids()


def batch_after(seed: int = 0) -> dict[str, np.ndarray]:
    """Random rows by the ids of the grown encoder."""
    random = np.random.default_rng(seed)

    def ids(entry: Any, width: int) -> np.ndarray:
        return entry.first_id + random.integers(0, entry.num_ids, (ROWS, width))

    single = np.concatenate([ids(field, 1) for field in AFTER.single_valued], axis=1)
    batch = {"fields": single, "tags": ids(AFTER.fields[-1], 3), "history": ids(AFTER.sequences[0], 4)}
    batch["tags"][::3, 2] = 0
    batch["history"][::2, 3] = 0
    batch["scenario"] = single[:, 1] - AFTER.fields[1].first_id
    batch["group"] = single[:, 3] - AFTER.fields[3].first_id
    return {key: value.astype(np.int32) for key, value in batch.items()}


def batch_before(after: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: ids if key in ("scenario", "group") else IDS.rows[ids] for key, ids in after.items()}


def tensors(batch: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {key: tf.constant(value) for key, value in batch.items()}


def randomise(model: keras.Model, seed: int = 1) -> None:
    """Gives each weight other values, so that none is 0, and moving statistics are positive."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.uniform(0.05, 0.3, tuple(weight.shape)).astype(np.float32))


def step(model: keras.Model, optimizer: Any, batch: dict[str, np.ndarray], labels: np.ndarray) -> None:
    with tf.GradientTape() as tape:
        logits = tf.reshape(model(tensors(batch), training=True), [-1])
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.constant(labels), logits))
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [stack.raw_variable(variable) for variable in variables])
    optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))


LABELS = np.random.default_rng(5).integers(0, 2, ROWS).astype(np.float32)

MODELS: dict[str, dict[str, Any]] = {
    "lr": {},
    "deepfm": {"embedding.dim": 4, "deep.units": (8, 4)},
    "dnn": {"embedding.dim": 4, "deep.units": (8, 4)},
    "dynint_dgp": {"embedding.dim": 4, "num_layers": 2, "num_subspaces": 2},
    "dpn": {"embedding.dim": 4, "deep.units": (8, 4), "deep.batch_norm": True},
    "din": {"embedding.dim": 4, "deep.units": (8,), "attention_units": (4,)},
    "can": {"embedding.dim": 4, "deep.units": (8,), "attention_units": (4,), "co_action_dim": 3, "num_orders": 2},
    "star": {"embedding.dim": 4, "deep.units": (8,), "auxiliary_units": (4,)},
    "optmsm": {"embedding.dim": 4, "encoder_units": (8, 4), "tower_units": (4,), "scenario_dim": 6, "code_dim": 3},
    "per_scenario": {"embedding.dim": 4, "deep.units": (8, 4)},
    "wide_deep": {"embedding.dim": 4, "deep.units": (8, 4), "embedding.sizes": ("user=2", "item=6")},
    "dien": {
        "embedding.dim": 4,
        "deep.units": (8,),
        "attention_units": (4,),
        "embedding.sizes": ("item=3",),
        "embedding.frozen": ("tags",),
    },
    "apg_dnn": {"embedding.dim": 4, "deep.units": (8, 4), "condition.kind": "group", "condition.fields": ("user",)},
}


@pytest.mark.parametrize("name", MODELS)
def test_old_ids_are_answered_as_before_to_the_bit_and_new_ones_as_unknown(name: str) -> None:
    set_seed(0)
    before, after = (build_model(name, features, **MODELS[name]) for features in (BEFORE, AFTER))
    randomise(before)
    carry_over(before, after, IDS)
    batch = batch_after()
    expected = before(tensors(batch_before(batch)), training=False).numpy()
    assert np.array_equal(after(tensors(batch), training=False).numpy(), expected)
    assert expected.std() > 0
    assert IDS.is_new[batch["fields"]].any() and IDS.is_new[batch["tags"]].any()


def slots_by_row(model: keras.Model, optimizer: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """The table, and what the optimizer keeps for it."""
    table = next(weight for weight in model.trainable_variables if stack.variable_path(weight).endswith("table"))
    member = optimizer.member_of(table) if isinstance(optimizer, CompositeOptimizer) else optimizer
    return stack.raw_variable(table).numpy(), [slot.numpy() for slot in stack.slots_of(member, table)]


KERAS = ("keras.adamw", "keras.rmsprop", "keras.adagrad", "keras.sgd", "keras.nadam")
SLOTS = {"row_wise_adagrad": 1, "group_ftrl": 2, "lazy_adam": 2, "adam": 2, "sparse_adagrad": 1}


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, *KERAS])
@pytest.mark.filterwarnings("ignore:.*reads and writes the whole embedding table")
def test_a_step_after_the_growth_is_the_step_that_there_would_have_been(optimizer: str) -> None:
    """On rows of old ids alone: table, state and dense weights take the same values, by value."""
    set_seed(0)
    options = MODELS["deepfm"]
    before, after, continued = (build_model("deepfm", features, **options) for features in (BEFORE, AFTER, BEFORE))
    given = {"learning_rate": 0.01} if "keras" in optimizer else {}
    old, new, same = (make_optimizer(optimizer, given, batch_size=ROWS) for _ in range(3))
    randomise(before)
    for model, one in ((before, old), (after, new), (continued, same)):
        one.build(model.trainable_variables)
    for seed in (1, 2):
        step(before, old, batch_before(batch_after(seed)), LABELS)
    carry_over(before, after, IDS, old, new)
    unchanged = IdMap(BEFORE, BEFORE, np.arange(BEFORE.num_ids, dtype=np.int32), np.zeros(BEFORE.num_ids, bool))
    carry_over(before, continued, unchanged, old, same)

    table, slots = slots_by_row(before, old)
    grown_table, grown_slots = slots_by_row(after, new)
    assert len(slots) == SLOTS.get(optimizer, len(slots)) and (slots or optimizer == "keras.sgd")
    assert np.array_equal(grown_table, table[IDS.rows])
    for slot, grown in zip(slots, grown_slots, strict=True):
        assert np.array_equal(grown[~IDS.is_new], slot[IDS.rows][~IDS.is_new])
    kept = stack.optimizer_state(old)
    for model, one in ((before, old), (continued, same)):
        assert all(np.array_equal(a, b) for a, b in zip(before.get_weights(), model.get_weights(), strict=True))
        state = stack.optimizer_state(one)
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(kept, state, strict=True))

    rows = batch_after(3)
    old_places = {key: np.where(IDS.is_new[ids], 0, ids) for key, ids in rows.items() if key in ("tags", "history")}
    # Users and items that are new are replaced by the first value of their field.
    first = np.array([field.first_id + 2 for field in AFTER.single_valued])
    old_places["fields"] = np.where(IDS.is_new[rows["fields"]], first, rows["fields"])
    rows = {**rows, **{key: ids.astype(np.int32) for key, ids in old_places.items()}}
    step(after, new, rows, LABELS)
    step(continued, same, batch_before(rows), LABELS)
    table, slots = slots_by_row(continued, same)
    grown_table, grown_slots = slots_by_row(after, new)
    old_ids = ~IDS.is_new
    np.testing.assert_allclose(grown_table[old_ids], table[IDS.rows][old_ids], rtol=0, atol=1e-7)
    for slot, grown in zip(slots, grown_slots, strict=True):
        np.testing.assert_allclose(grown[old_ids], slot[IDS.rows][old_ids], rtol=1e-6, atol=1e-9)
    for a, b in zip(after.get_weights(), continued.get_weights(), strict=True):
        if a.shape == b.shape:
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_new_rows_have_the_state_of_rows_without_a_gradient() -> None:
    set_seed(0)
    before, after = (build_model("dnn", features, **MODELS["dnn"]) for features in (BEFORE, AFTER))
    old, new = (make_optimizer("row_wise_adagrad", {"initial_accumulator_value": 0.5}, batch_size=ROWS) for _ in "ab")
    for model, one in ((before, old), (after, new)):
        one.build(model.trainable_variables)
    step(before, old, batch_before(batch_after()), LABELS)
    carry_over(before, after, IDS, old, new)
    _, (accumulator,) = slots_by_row(after, new)
    assert (accumulator[IDS.is_new] == 0.5).all() and (accumulator[~IDS.is_new] > 0.5).any()


@pytest.mark.parametrize("l21", [0.0, 0.01])
def test_new_rows_of_ftrl_do_not_jump_at_their_first_step(l21: float) -> None:
    """FTRL makes weights of z and n, so that a new row needs the z that makes what it starts with."""
    ids = IdMap(BEFORE, AFTER, IDS.rows, IDS.is_new)
    embed = {features: FieldEmbedding(features.num_ids, 4) for features in (BEFORE, AFTER)}
    models = []
    for features in (BEFORE, AFTER):
        fields = keras.Input((4,), dtype="int32", name="fields")
        summed = keras.layers.Flatten()(embed[features](fields))
        models.append(keras.Model({"fields": fields}, keras.layers.Dense(1)(summed)))
    before, after = models
    randomise(before)
    old, new = (GroupFtrl(0.1, beta=1.0, l1=0.001, l2=0.5, l21=l21, initial_accumulator_value=0.2) for _ in "ab")
    for model, one in ((before, old), (after, new)):
        one.build(model.trainable_variables)
    step(before, old, {"fields": batch_before(batch_after())["fields"]}, LABELS)
    carry_over(before, after, ids, old, new)
    table = embed[AFTER].table
    start = stack.raw_variable(table).numpy()
    new_id = int(np.flatnonzero(IDS.is_new)[0])
    gradient = tf.IndexedSlices(tf.zeros((1, 4)), tf.constant([new_id]), tf.constant([AFTER.num_ids, 4]))
    new.apply_gradients([(gradient, table)])
    np.testing.assert_allclose(stack.raw_variable(table).numpy(), start, rtol=1e-5, atol=1e-8)
    assert np.abs(start[new_id]).min() > 0.01


@pytest.mark.parametrize("l21", [0.0, 0.01])
def test_weights_of_ftrl_do_not_jump_at_another_learning_rate(l21: float) -> None:
    """Its weights are z over n and the rate: at half the rate a row would shrink to half when it is next touched."""
    before, after = (build_model("deepfm", features, **MODELS["deepfm"]) for features in (BEFORE, AFTER))
    randomise(before)

    def made(rate: float) -> CompositeOptimizer:
        tables = GroupFtrl(rate, beta=1.0, l2=0.5, l21=l21)
        return CompositeOptimizer(
            [(".*table", tables), (".*", GroupFtrl(rate, l1=0.02, initial_accumulator_value=0.1))]
        )

    old, new = made(0.1), made(0.05)
    for model, one in ((before, old), (after, new)):
        one.build(model.trainable_variables)
    for seed in (1, 2):
        step(before, old, batch_before(batch_after(seed)), LABELS)
    carry_over(before, after, IDS, old, new)
    start = after.get_weights()
    assert any((weights == 0).any() for weights in start) and sum(np.abs(weights).sum() for weights in start) > 1
    new.apply_gradients([(tf.zeros(weight.shape), weight) for weight in after.trainable_variables])
    for weights, kept in zip(after.get_weights(), start, strict=True):
        np.testing.assert_allclose(weights, kept, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["adam", "lamb", "moving_average", "lookahead"])
def test_optimizers_of_the_old_kind_grow_and_those_that_copy_weights_are_refused(kind: str) -> None:
    if stack.KERAS_3:
        pytest.skip("Keras 3 has no legacy optimizers")
    adam = keras.optimizers.legacy.Adam

    def made() -> Any:
        if kind == "adam":
            return adam(0.01)
        addons = pytest.importorskip("tensorflow_addons", reason="tensorflow-addons needs TensorFlow 2.15").optimizers
        if kind == "lamb":
            return addons.LAMB(0.01)
        return addons.Lookahead(adam(0.01)) if kind == "lookahead" else addons.MovingAverage(adam(0.01))

    before, after = (build_model("deepfm", features, **MODELS["deepfm"]) for features in (BEFORE, AFTER))
    old, new = (CompositeOptimizer([(".*", made())]) for _ in "ab")
    for model, one in ((before, old), (after, new)):
        one.build(model.trainable_variables)
    step(before, old, batch_before(batch_after()), LABELS)
    if kind in ("moving_average", "lookahead"):
        with pytest.raises(ValueError, match="keeps copies of the weights around another optimizer"):
            carry_over(before, after, IDS, old, new)
        return
    carry_over(before, after, IDS, old, new)
    table, slots = slots_by_row(before, old)
    grown_table, grown_slots = slots_by_row(after, new)
    assert len(slots) == 2 and np.array_equal(grown_table, table[IDS.rows])
    for slot, grown in zip(slots, grown_slots, strict=True):
        assert np.array_equal(grown[~IDS.is_new], slot[IDS.rows][~IDS.is_new]) and slot.any()
        assert not grown[IDS.is_new].any()


def test_a_model_and_layers_of_ones_own_grow_too() -> None:
    class Bias(keras.layers.Layer):
        """A number for each id."""

        def __init__(self, num_ids: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.num_ids = num_ids

        def build(self, input_shape: Any) -> None:
            self.values = self.add_weight(name="values", shape=(self.num_ids,), initializer="random_normal")
            self.built = True

        def call(self, ids: Any) -> Any:
            return tf.reduce_sum(tf.gather(tf.convert_to_tensor(self.values), ids), axis=1, keepdims=True)

    def build(features: EncodedFeatures) -> keras.Model:
        fields = keras.Input((4,), dtype="int32", name="fields")
        hours = keras.layers.Embedding(24, 2, name="hours")(fields % 24)
        vectors = keras.layers.Embedding(features.num_ids, 3)(fields)
        x = keras.layers.Concatenate()([keras.layers.Flatten()(vectors), keras.layers.Flatten()(hours)])
        logit = keras.layers.Dense(1)(keras.layers.BatchNormalization()(x))
        return keras.Model({"fields": fields}, keras.layers.Add()([logit, Bias(features.num_ids)(fields)]))

    before, after = build(BEFORE), build(AFTER)
    randomise(before)
    old, new = (keras.optimizers.Adam(0.01) for _ in "ab")
    for model, one in ((before, old), (after, new)):
        one.build(model.trainable_variables)
    batch = {"fields": batch_after()["fields"]}
    step(before, old, batch_before(batch), LABELS)
    carry_over(before, after, IDS, old, new)
    layers = [[layer for layer in model.layers if layer.weights] for model in (before, after)]
    for own, grown in zip(*layers, strict=True):
        for a, b in zip(own.get_weights(), grown.get_weights(), strict=True):
            assert np.array_equal(b, a[IDS.rows] if a.shape != b.shape else a)


def test_rows_of_keys_stay_with_their_keys() -> None:
    """Also where there are as many of them as ids."""

    def build(features: EncodedFeatures) -> keras.Model:
        fields = keras.Input((len(features.fields) - 1,), dtype="int32", name="fields")
        keys = keras.Input((1,), dtype="int64", name="keys")
        rows = [FieldEmbedding(features.num_ids, 4)(fields), KeyEmbedding(AFTER.num_ids - 1, 4)(keys)]
        flat = [keras.layers.Flatten()(some) for some in rows]
        return keras.Model({"fields": fields, "keys": keys}, keras.layers.Dense(1)(keras.layers.Concatenate()(flat)))

    keys = tf.constant([[2**40 + 7 * row] for row in range(ROWS)], tf.int64)
    after = batch_after()
    batches = [{"fields": tf.constant(batch["fields"]), "keys": keys} for batch in (batch_before(after), after)]
    old, new = build(BEFORE), build(AFTER)
    old(batches[0], training=True)  # each key takes a row
    carry_over(old, new, IDS)
    layers = [next(one for one in model.layers if isinstance(one, KeyEmbedding)) for model in (old, new)]
    assert layers[1].num_used == layers[0].num_used == min(ROWS, AFTER.num_ids - 1)
    np.testing.assert_array_equal(layers[1](keys), layers[0](keys))
    known = ~IDS.is_new[after["fields"]].any(axis=1)
    assert known.any()
    np.testing.assert_array_equal(new(batches[1])[known], old(batches[0])[known])


def row_of(model: keras.Model, optimizer: Any, number: int) -> list[np.ndarray]:
    """The row of an id in the table of keys and what the optimizer keeps for it; empty where it has none."""
    layer = model.get_layer("embedding")
    (row,) = layer.rows_of([number])
    table, slots = slots_by_row(model, optimizer)
    return [part[row] for part in (table, *slots)] if row else []


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("row_wise_adagrad", {}),
        ("lazy_adam", {}),
        ("group_ftrl", {"untouched_rows": "keep", "l2": 0.01, "l21": 0.001, "dense_l1": 1e-4}),
    ],
)
def test_ids_that_are_keys_move_with_their_values(optimizer: str, options: dict[str, Any]) -> None:
    set_seed(0)
    keyed = {**MODELS["deepfm"], "embedding.num_keys": 100}
    before, after, continued = (build_model("deepfm", features, **keyed) for features in (BEFORE, AFTER, BEFORE))
    old, new, same = (make_optimizer(optimizer, options, batch_size=ROWS) for _ in range(3))
    for model, one in ((before, old), (after, new), (continued, same)):
        one.build(model.trainable_variables)
    for seed in (1, 2):
        step(before, old, batch_before(batch_after(seed)), LABELS)
    gone = np.array([number for number in range(1, BEFORE.num_ids) if number not in IDS.rows])
    layer = before.get_layer("embedding")
    layer.add_keys(gone)
    assert len(gone) == 2 and layer.rows_of(gone).all()
    carry_over(before, after, IDS, old, new)
    unchanged = IdMap(BEFORE, BEFORE, np.arange(BEFORE.num_ids, dtype=np.int32), np.zeros(BEFORE.num_ids, bool))
    carry_over(before, continued, unchanged, old, same)
    padding = [part[0] for part in slots_by_row(after, new)[1]]
    news = known = 0
    for number, (place, is_new) in enumerate(zip(IDS.rows, IDS.is_new, strict=True)):
        was, now = row_of(before, old, place), row_of(after, new, number)
        assert len(was) == len(now)
        if was and not is_new:
            assert all(np.array_equal(a, b) for a, b in zip(was, now, strict=True))
            known += 1
        elif was and optimizer != "group_ftrl":  # whose weights are made of its state
            assert np.array_equal(was[0], now[0])
            assert all(np.array_equal(a, b) for a, b in zip(now[1:], padding, strict=True))
            news += 1
    assert known > 30 and (news >= 9 or optimizer == "group_ftrl")
    assert after.get_layer("embedding").num_freed == layer.num_freed + 2
    batch = batch_after()
    expected = before(tensors(batch_before(batch)), training=False).numpy()
    assert np.array_equal(after(tensors(batch), training=False).numpy(), expected) and expected.std() > 0
    assert IDS.is_new[batch["fields"]].any()
    # A step on rows of old values is the step that there would have been.
    first = np.array([field.first_id + 2 for field in AFTER.single_valued])
    rows = {**batch, **{key: np.where(IDS.is_new[batch[key]], 0, batch[key]) for key in ("tags", "history")}}
    rows["fields"] = np.where(IDS.is_new[batch["fields"]], first, batch["fields"]).astype(np.int32)
    step(after, new, rows, LABELS)
    step(continued, same, batch_before(rows), LABELS)
    for number in np.flatnonzero(~IDS.is_new):
        for one, other in zip(row_of(continued, same, IDS.rows[number]), row_of(after, new, number), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-8)


def test_new_values_without_a_free_row_are_told() -> None:
    before, after = (
        build_model("dnn", features, **MODELS["dnn"], **{"embedding.num_keys": 40}) for features in (BEFORE, AFTER)
    )
    before(tensors(batch_before(batch_after())), training=True)
    assert before.get_layer("embedding").num_used == 40
    with pytest.warns(UserWarning, match=r"new values of vocabularies found no free row among the 40 of embedding"):
        carry_over(before, after, IDS)
    assert after.get_layer("embedding").num_used <= 40


def test_what_does_not_fit_is_refused() -> None:
    dnn, wider = (
        build_model("dnn", BEFORE, **MODELS["dnn"]),
        build_model("dnn", AFTER, **{**MODELS["dnn"], "embedding.dim": 5}),
    )
    with pytest.raises(ValueError, match="table have the shape .*, 5.* before .*, 4"):
        carry_over(dnn, wider, IDS)
    with pytest.raises(ValueError, match="not of one kind"):
        carry_over(dnn, build_model("lr", AFTER), IDS)
    after = build_model("dnn", AFTER, **MODELS["dnn"])
    old, new = make_optimizer("lazy_adam", batch_size=ROWS), make_optimizer("sparse_adagrad", batch_size=ROWS)
    with pytest.raises(ValueError, match="both optimizers"):
        carry_over(dnn, after, IDS, old)
    old.build(dnn.trainable_variables)
    new.build(after.trainable_variables)
    with pytest.raises(ValueError, match=r"not of one kind: LazyAdam .* SparseAdagrad"):
        carry_over(dnn, after, IDS, old, new)
    # Another number of scenarios is another number of towers.
    more = features_of({**GROWN, "scenario_id": 6})
    with pytest.raises(ValueError, match="of other layers all shapes must be the same"):
        carry_over(build_model("star", BEFORE, **MODELS["star"]), build_model("star", more, **MODELS["star"]), IDS)


def test_models_with_weights_for_each_scenario_or_group_are_known() -> None:
    known = {name: indexed_features(build_model(name, BEFORE, **MODELS[name]), BEFORE) for name in MODELS}
    assert {name for name, found in known.items() if found} == {"star", "optmsm", "per_scenario"}
    by_group = build_model("apg_dnn", BEFORE, **{**MODELS["apg_dnn"], "condition.fields": ()})
    assert indexed_features(by_group, BEFORE) == ["hour"]


def test_a_training_goes_on_from_its_best_state(small_data: Any, tmp_path: Path) -> None:
    def made() -> tuple[keras.Model, Any]:
        set_seed(0)
        model = build_model(
            "dnn", small_data.features, **{"embedding.dim": 4, "deep.units": (16,), "deep.dropout": 0.2}
        )
        return model, make_optimizer("lazy_adam", {"learning_rate": 0.02}, batch_size=256)

    options: dict[str, Any] = {"batch_size": 256, "evaluate_every": 6, "tensorboard": False}
    model, optimizer = made()
    result = train(model, small_data, optimizer, directory=tmp_path / "one", epochs=8, patience=4, **options)
    assert result.best.step < result.steps - 12, "its checkpoint is older than the newest two"
    restored, other = made()
    assert restore_training(restored, other, tmp_path / "one") == result.best.step
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), restored.get_weights(), strict=True))
    # That of the step, not of the end.
    assert int(stack.raw_variable(other.iterations)) == result.best.step
    with pytest.raises(ValueError, match="holds no checkpoint"):
        restore_training(*made(), tmp_path / "none")


def test_without_a_validation_split_the_last_weights_stay_and_a_killed_training_goes_on(
    small_data: Any, tmp_path: Path
) -> None:
    class OneSplit:
        """The training rows alone."""

        def __getattr__(self, name: str) -> Any:
            return getattr(small_data, name)

        def num_rows(self, split: str) -> int:
            return int(small_data.num_rows(split)) if split == "train" else 0

    def made() -> tuple[keras.Model, Any]:
        set_seed(0)
        return build_model("dnn", small_data.features, **MODELS["dnn"]), make_optimizer("lazy_adam", batch_size=256)

    options: dict[str, Any] = {"batch_size": 256, "evaluate_every": 5, "tensorboard": False, "monitor": "none"}
    model, optimizer = made()
    result = train(model, OneSplit(), optimizer, directory=tmp_path / "one", epochs=1, **options)
    assert result.steps == 12 and result.best.step == 12 and np.isnan(result.best.val_auc)
    assert not (tmp_path / "one" / "best").exists()
    assert int(stack.raw_variable(optimizer.iterations)) == 12

    other, its_optimizer = made()
    train(other, OneSplit(), its_optimizer, directory=tmp_path / "two", epochs=1, **options)
    shutil.rmtree(tmp_path / "two" / "checkpoints" / "000000012")
    model_3, optimizer_3 = made()
    again = train(model_3, OneSplit(), optimizer_3, directory=tmp_path / "two", epochs=1, **options)
    assert again.resumed_at == 10
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), model_3.get_weights(), strict=True))
    with pytest.raises(ValueError, match="validation split has no rows"):
        train(model, OneSplit(), optimizer, directory=tmp_path / "three", batch_size=256)
