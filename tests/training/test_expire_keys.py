"""Training on keys without a vocabulary: as on a static table; stopped and resumed; with keys that expire."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding import EncodedFeatures
from dynctr_tf.models import deepfm
from dynctr_tf.models.parts import Deep, Embedding
from dynctr_tf.optimizers import CompositeOptimizer, GroupFtrl, LazyAdam, RowWiseAdagrad, SparseAdagrad
from dynctr_tf.training import ExpireKeys

SIZES, BATCH, STEPS = (40, 25), 16, 12
RANDOM = np.random.default_rng(3)
IDS = np.stack([1 + RANDOM.zipf(1.4, BATCH * STEPS) % SIZES[0], 41 + RANDOM.zipf(1.3, BATCH * STEPS) % SIZES[1]], 1)
IDS[5, 1] = IDS[70, 0] = 0  # padding
LABELS = (RANDOM.random(BATCH * STEPS) < 0.3).astype(np.float32)
KEYS = IDS * 0x1234567_89ABCDE  # any number for each id, 0 for 0
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "row-wise Adagrad": lambda: RowWiseAdagrad(0.05),
    "lazy Adam": lambda: LazyAdam(0.01),
    "Adagrad": lambda: SparseAdagrad(0.05),
    "G-FTRL": lambda: GroupFtrl(0.05, beta=1.0, l21=1e-4, l2=1e-3, untouched_rows="keep"),
    "composite": lambda: CompositeOptimizer([("embedding.*", RowWiseAdagrad(0.05)), (".*", LazyAdam(0.01))]),
    "Keras' Adam": lambda: CompositeOptimizer([(".*", keras.optimizers.Adam(0.01))]),
}


def key_model(num_keys: int = 70, index_kind: str = "tensorflow") -> keras.Model:
    embedding = Embedding(4, initial_scale=0.05, num_keys=num_keys, index_kind=index_kind)
    return deepfm(EncodedFeatures.of_keys(["user", "item"]), embedding=embedding, deep=Deep((8,)))


def fit(model: keras.Model, ids: np.ndarray, first: int, last: int, callbacks: list[Any] | None = None) -> None:
    rows = slice(first * BATCH, last * BATCH)
    model.fit(
        {"fields": ids[rows]}, LABELS[rows], batch_size=BATCH, shuffle=False, verbose=0, callbacks=callbacks or []
    )


def compiled(model: keras.Model, optimizer: Any) -> keras.Model:
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    optimizer.build(model.trainable_variables)
    return model


def logits(model: keras.Model, ids: np.ndarray) -> np.ndarray:
    return np.asarray(model({"fields": tf.constant(ids)}, training=False))


def table_of(model: keras.Model) -> tf.Variable:
    return stack.raw_variable(model.get_layer("embedding").table)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keys_train_as_the_ids_of_a_static_table_do(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' Adam reads the whole table
        keyed = compiled(key_model(), OPTIMIZERS[name]())
        static = deepfm(EncodedFeatures.from_sizes(SIZES), embedding=Embedding(4), deep=Deep((8,)))
        compiled(static, OPTIMIZERS[name]())
        # Keys take rows in the order in which they come; each id starts from the row that its key will take.
        order = list(dict.fromkeys(IDS.reshape(-1)[IDS.reshape(-1) > 0].tolist()))
        start = np.zeros((static.get_layer("embedding").num_ids, 5), np.float32)
        start[order] = table_of(keyed).numpy()[1 : 1 + len(order)]
        table_of(static).assign(start)
        for one, other in zip(static.layers, keyed.layers, strict=True):
            if one.name != "embedding":
                other.set_weights(one.get_weights())
        fit(keyed, KEYS, 0, STEPS)
        fit(static, IDS, 0, STEPS)
    assert keyed.get_layer("embedding").num_used == len(order)
    moved = np.abs(table_of(static).numpy() - start)[order].max()
    assert moved > 0.01
    rows = keyed.get_layer("embedding").rows_of(np.array(order) * 0x1234567_89ABCDE)
    np.testing.assert_allclose(table_of(keyed).numpy()[rows], table_of(static).numpy()[order], atol=1e-6)
    np.testing.assert_allclose(logits(keyed, KEYS), logits(static, IDS), atol=1e-5)


def test_a_training_that_is_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    def parts() -> tuple[keras.Model, Any, tf.train.Checkpoint]:
        optimizer = OPTIMIZERS["composite"]()
        model = compiled(key_model(30), optimizer)
        return model, optimizer, tf.train.Checkpoint(model=model, optimizer=optimizer)

    def expiry() -> list[Any]:
        return [ExpireKeys(every=2, unseen_for=3, free_share=0.2)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keys that find no row
        model, _, checkpoint = parts()
        fit(model, KEYS, 0, 6, expiry())
        path = checkpoint.write(str(tmp_path / "state"))
        model.save(tmp_path / "model.keras")
        fit(model, KEYS, 6, STEPS, expiry())
        again, _, checkpoint = parts()
        fit(again, KEYS, 3, 4)  # its own keys must go
        checkpoint.read(path).assert_consumed()
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(logits(loaded, KEYS), logits(again, KEYS))
        fit(again, KEYS, 6, STEPS, expiry())
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["row-wise Adagrad", "G-FTRL", "Keras' Adam"])
def test_rows_that_expire_start_anew_with_their_optimizer_state(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer = OPTIMIZERS[name]()
        model = compiled(key_model(70), optimizer)
        fit(model, KEYS, 0, STEPS)
        layer = model.get_layer("embedding")
        stale = layer.stale_rows(4)
        assert 0 < len(stale) < layer.num_used
        before = table_of(model).numpy()
        fit(model, KEYS, STEPS - 1, STEPS, [ExpireKeys(unseen_for=5, free_share=0.0)])
    assert not stack.raw_variable(layer.keys).numpy()[stale].any()
    after = table_of(model).numpy()
    assert (np.abs(after[stale][:, :4]) <= 0.05).all()
    assert (after[stale][:, :4] != before[stale][:, :4]).any(axis=1).all()
    assert not after[stale][:, 4].any()
    member = optimizer.member_of(layer.table) if isinstance(optimizer, CompositeOptimizer) else optimizer
    slots = [slot for slot in stack.slots_of(member, layer.table) if slot.shape.rank]
    assert slots
    kept = np.setdiff1d(np.arange(1, 1 + layer.num_used), stale)
    for slot in slots:
        values = slot.numpy()
        np.testing.assert_array_equal(values[stale], np.repeat(values[-1:], len(stale), axis=0))  # as a row never taken
        assert (values[kept] != values[-1]).any()


def test_room_is_made_and_keys_without_a_row_are_told() -> None:
    model = compiled(key_model(20), RowWiseAdagrad(0.05))
    with pytest.warns(UserWarning, match="times a new key found no free row among the 20 of embedding"):
        fit(model, KEYS, 0, STEPS, [ExpireKeys(every=3, free_share=0.25)])
    assert model.get_layer("embedding").num_used <= 15


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 step"):
        ExpireKeys(every=0)
    with pytest.raises(ValueError, match="free_share"):
        ExpireKeys(free_share=1.0)
    static = compiled(deepfm(EncodedFeatures.from_sizes(SIZES), deep=Deep((8,))), LazyAdam())
    with pytest.raises(ValueError, match="has no KeyEmbedding that trains"):
        fit(static, IDS, 0, 1, [ExpireKeys()])
    with pytest.raises(ValueError, match="no field has a size of its own"):
        Embedding(4, num_keys=20, sizes="user=8")
    with pytest.raises(ValueError, match=r"'user' has keys without a vocabulary\. embedding\.num_keys"):
        deepfm(EncodedFeatures.of_keys(["user"]), embedding=Embedding(4))
