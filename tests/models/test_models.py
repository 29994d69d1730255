"""Every model of the catalogue on data with all kinds of features: build, train, mixed precision; equations."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from small_models import FEATURES, SMALL, batch_of, labels_of, logits
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures, Field
from dynctr_tf.models import (
    CATALOGUE,
    Choice,
    Deep,
    Embedding,
    LogUniform,
    build_model,
    dynint,
    encoded_inputs,
    fm,
    lr,
    xdeepint,
)
from dynctr_tf.models import dcn_v2 as dcn
from dynctr_tf.optimizers import OPTIMIZERS
from dynctr_tf.options import option_paths


@pytest.fixture(autouse=True)
def same_start_each_time() -> None:
    keras.utils.set_random_seed(0)


def test_every_model_of_the_catalogue_is_tested() -> None:
    assert set(SMALL) == set(CATALOGUE)


@pytest.mark.parametrize("name", SMALL)
def test_model_trains_on_all_kinds_of_features(name: str) -> None:
    model = build_model(name, FEATURES, **SMALL[name])
    assert not model.compiled if hasattr(model, "compiled") else model.optimizer is None
    batch = batch_of(256)
    output = logits(model, batch)
    assert output.shape == (256, 1)
    assert output.dtype == np.float32
    # Polynomials of some degree diverge under larger steps of plain gradient descent.
    model.compile(keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit(batch, labels_of(batch), batch_size=64, epochs=6, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


@pytest.mark.parametrize("name", SMALL)
def test_all_weights_learn_and_tables_lie_under_embedding(name: str) -> None:
    model = build_model(name, FEATURES, **SMALL[name])
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    batch = {key: tf.constant(value) for key, value in batch_of(64).items()}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(batch, training=True) - 1))
        loss = tf.add_n([loss, *model.losses])
    variables = [stack.raw_variable(weight) for weight in model.trainable_weights]
    for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, variables), strict=True):
        path = getattr(weight, "path", weight.name)
        assert gradient is not None and np.abs(tf.convert_to_tensor(gradient).numpy()).max() > 0, path
        is_table = weight.shape[0] % FEATURES.num_ids == 0  # a model per scenario has a table for each
        assert is_table == path.startswith("embedding"), path
        assert isinstance(gradient, tf.IndexedSlices) == is_table, path


@pytest.mark.parametrize("name", SMALL)
def test_wider_padding_and_other_groups_change_nothing(name: str) -> None:
    model, batch = build_model(name, FEATURES, **SMALL[name]), batch_of(8)
    wider = dataclasses.replace(
        FEATURES, sequences=(dataclasses.replace(FEATURES.sequences[0], length=9),), num_groups=0
    )
    other = build_model(name, wider, **SMALL[name])
    other.set_weights(model.get_weights())
    padded = {**batch, "last items/30d": np.pad(batch["last items/30d"], [[0, 0], [0, 5]])}
    del padded["group"]
    np.testing.assert_allclose(logits(model, batch), logits(other, padded), rtol=1e-5, atol=1e-7)


@pytest.fixture
def mixed_policy() -> Any:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_global_policy("float32")


# The start from which the bound below was set. From .05 one row of 128 is wrong by .061: blocks of four units enlarge
# the rounding of their norm.
_STARTS = {"masknet_serial": {"embedding.initial_scale": 0.01}}


@pytest.mark.parametrize("name", SMALL)
def test_model_trains_in_mixed_precision(name: str, mixed_policy: None) -> None:
    options = {**SMALL[name], **_STARTS.get(name, {})}
    model, batch = build_model(name, FEATURES, **options), batch_of(128)
    before = logits(model, batch)
    assert before.dtype == np.float32
    # Adam, since the gradient of AFN's logarithm is 1 / x: steps of SGD throw its embeddings far away or next to 0.
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True), run_eagerly=True)
    history = model.fit(batch, labels_of(batch), batch_size=64, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    table = next(weight for weight in model.weights if weight.shape[0] % FEATURES.num_ids == 0)
    assert table.dtype in ("float32", tf.float32)
    keras.mixed_precision.set_global_policy("float32")
    exact = build_model(name, FEATURES, **options)
    exact.set_weights(model.get_weights())
    expected = logits(exact, batch)
    # bfloat16 keeps eight bits of a number whatever its size, and an untrained AFN gives logits of 15.
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(logits(model, batch) / scale, expected / scale, atol=0.03)


def test_lr_is_a_sum_of_weights() -> None:
    model, batch = lr(FEATURES), batch_of(6)
    table = np.random.default_rng(1).normal(size=(FEATURES.num_ids, 1)).astype(np.float32)
    model.set_weights([table, np.array([0.25])])
    expected = []
    for n in range(6):
        total = 0.25 + table[batch["fields"][n], 0].sum()
        for name in ("tags", "last items/30d"):
            values = batch[name][n][batch[name][n] > 0]
            total += table[values, 0].mean() if len(values) else 0.0
        expected.append(total)
    np.testing.assert_allclose(logits(model, batch)[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_fm_is_its_equation() -> None:
    features, random = EncodedFeatures.from_sizes([4, 5, 6]), np.random.default_rng(2)
    model = fm(features, embedding=Embedding(3))
    table = random.normal(size=(features.num_ids, 4)).astype(np.float32)
    model.set_weights([table, np.array([-0.5])])
    ids = np.array([[1, 5, 10], [4, 9, 15]], np.int32)
    expected = []
    for row in ids:
        pairs = sum(table[i, :3] @ table[j, :3] for i in row for j in row if i < j)
        expected.append(-0.5 + table[row, 3].sum() + pairs)
    np.testing.assert_allclose(model({"fields": ids}).numpy()[:, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_subspaces", [1, 2, 4])
@pytest.mark.parametrize("residual", [True, False])
def test_xdeepint_is_its_equations_with_loops(num_subspaces: int, residual: bool) -> None:
    features, random = EncodedFeatures.from_sizes([4, 5, 6]), np.random.default_rng(2)
    model = xdeepint(features, embedding=Embedding(4), num_layers=2, num_subspaces=num_subspaces, residual=residual)
    model.set_weights([random.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
    weights = model.get_weights()
    table, kernels, (w_out, b_out) = weights[0], weights[1:3], weights[3:]
    ids = np.array([[1, 5, 10], [4, 9, 15]], np.int32)
    expected = []
    for row in ids:
        x0 = table[row].reshape(3 * num_subspaces, 4 // num_subspaces)
        x, maps = x0, [x0]
        for kernel in kernels:
            x = x * (kernel.T @ x0) + (x if residual else 0)
            maps.append(x)
        merged = [m.reshape(3, 4) for m in ([x] if residual else maps)]
        rows = np.concatenate(merged)
        expected.append(sum((w_out[f, 0] * rows[f]).sum() for f in range(len(rows))) + 4 * b_out[0])
    np.testing.assert_allclose(model({"fields": ids}).numpy()[:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["da", "dgp", "dwp"])
def test_silent_generators_leave_xdeepint(mode: str) -> None:
    features = EncodedFeatures.from_sizes([4, 5, 6])
    model = dynint(features, kind=mode, embedding=Embedding(4), num_layers=2, num_subspaces=2)
    paths = [getattr(weight, "path", weight.name) for weight in model.weights]
    silent = [np.zeros_like(w) if "generator" in p else w for p, w in zip(paths, model.get_weights(), strict=True)]
    model.set_weights(silent)
    by_path = dict(zip((path.split(":")[0] for path in paths), silent, strict=True))
    static = xdeepint(features, embedding=Embedding(4), num_layers=2, num_subspaces=2)
    if mode == "dgp":
        kernels = [by_path[f"dgp_{n}/v"] @ by_path[f"dgp_{n}/u"].T for n in (1, 2)]
    else:
        kernels = [by_path[f"{mode}_{n}/kernel"] for n in (1, 2)]
    static.set_weights([silent[0], *kernels, *silent[-2:]])
    ids = {"fields": np.array([[1, 5, 10], [4, 9, 15]], np.int32)}
    np.testing.assert_allclose(model(ids).numpy(), static(ids).numpy(), rtol=1e-4, atol=1e-6)


def test_parameter_counts() -> None:
    features = EncodedFeatures.from_sizes([100] * 39)
    ids, stacked = 3901, 39 * 16
    assert lr(features).count_params() == ids + 1
    assert fm(features).count_params() == ids * 17 + 1
    assert xdeepint(features).count_params() == ids * 16 + 4 * stacked**2 + 39 + 1
    assert dcn(features, deep=Deep(())).count_params() == ids * 16 + 3 * (624**2 + 624) + 624 + 1
    generator = 624 * 156 + 156
    dgp = dynint(features, kind="dgp").count_params()
    assert dgp == ids * 16 + 4 * (2 * stacked * 64 + generator + 156 * 64 + 64) + 40


def test_orthogonal_penalty_and_row_penalty_reach_the_loss() -> None:
    features = EncodedFeatures.from_sizes([4, 5])
    ids = {"fields": np.array([[1, 5]], np.int32)}
    for options in ({"kind": "dwp"}, {"kind": "dgp", "rank": 3}):
        # The loss of the paper has it: it is there by default too.
        for weight, penalties in (({"orthogonal_weight": 0.1}, 4), ({}, 4), ({"orthogonal_weight": 0.0}, 0)):
            model = dynint(features, embedding=Embedding(4), num_subspaces=2, **options, **weight)
            model(ids)
            assert len(model.losses) == penalties
    penalised = fm(features, embedding=Embedding(row_regularizer_l2=0.5))
    penalised(ids, training=True)
    table = penalised.get_weights()[0]
    np.testing.assert_allclose(float(tf.add_n(penalised.losses)), 0.5 * (table[[1, 5]] ** 2).sum(), rtol=1e-5)


def test_inputs_are_the_encoded_batch() -> None:
    inputs = encoded_inputs(FEATURES)
    shapes = {key: tuple(value.shape) for key, value in inputs.items()}
    assert shapes == {
        "fields": (None, 4),
        "tags": (None, 3),
        "last items/30d": (None, 4),
        "scenario": (None,),
        "group": (None,),
    }


def test_multi_valued_fields_alone_are_enough() -> None:
    features = EncodedFeatures((Field("tags", "item", 1, 9, max_values=3),))
    model = build_model("fm", features, embedding=Embedding(2))
    assert model({"tags": tf.constant([[1, 2, 0]])}).shape == (1, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build_model("dynint-dgp", FEATURES), "Did you mean 'dynint_dgp'"),
        (lambda: build_model("dnn", FEATURES, **{"deep.unit": (3,)}), "Did you mean 'deep.units'"),
        (lambda: build_model("dynint_dgp", FEATURES, kind="da"), "Unknown option of model 'dynint_dgp': 'kind'"),
        (lambda: dynint(FEATURES, kind="dgpp"), "Did you mean 'dgp'"),
        (lambda: xdeepint(FEATURES, num_subspaces=3), r"it may be \[1, 2, 4, 8, 16\]"),
        (lambda: xdeepint(FEATURES, num_layers=-1), "num_layers"),
        (lambda: dcn(FEATURES, structure="stack"), "Did you mean 'stacked'"),
        (lambda: dcn(FEATURES, num_layers=0), "num_layers"),
        (lambda: Embedding(pooling="max"), "pooling mode"),
        (lambda: Embedding(0), "dim of Embedding must be from 1"),
        (lambda: Embedding(1.5), "dim of Embedding must be a whole number"),
        (lambda: lr(FEATURES, embedding=Embedding(4)), "embedding.dim of lr must be 1"),
        (lambda: build_model("fm", FEATURES, embedding=4), r"must be Embedding\(...\), got 4"),
        (lambda: build_model("fm", FEATURES, embedding_dim=4), "Did you mean 'embedding.dim'"),
        (lambda: build_model("shared_bottom", FEATURES, bottom_units=(4,)), "Did you mean 'deep.units'"),
        (lambda: build_model("apg_dnn", FEATURES, generator_units=4), "Did you mean 'adaptive.hidden_dim'"),
        (lambda: build_model("fm", FEATURES, **{"embedding.pooling": "max"}), "pooling mode"),
        (lambda: build_model("fm", FEATURES, **{"embedding.dim": 0}), "embedding.dim of model 'fm' must be from 1"),
        (
            lambda: build_model("lr", FEATURES, embedding=Embedding(1)),
            "embedding.initial_scale is fixed",
        ),
    ],
)
def test_wrong_names_and_values_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_catalogue_entry_agrees_with_its_function(entry: Any) -> None:
    options = set(option_paths(entry.function))
    assert set(entry.fixed) <= options
    assert set(entry.search_space) <= set(entry.defaults)
    assert set(entry.defaults) | set(entry.fixed) | {"features", "name"} == options
    for space in (entry.search_space, OPTIMIZERS[entry.optimizer].search_space):
        for name, values in space.items():
            assert isinstance(values, (Choice, LogUniform)), name
            assert isinstance(values, Choice) or 0 < values.low < values.high
    for name, values in entry.search_space.items():
        for value in values.values if isinstance(values, Choice) else (values.low, values.high):
            entry.arguments({name: value})  # is refused where the search would draw what the model does not take
    assert entry.name == "lr" or "embedding.dim" in entry.defaults
    assert ("deep.dropout" in entry.defaults) == any(path.startswith("deep.") for path in entry.defaults)
    # The options that comparisons set by one name for all models reach the layers of each.
    has_layers = "deep.dropout" in entry.defaults and entry.fixed.get("deep.units") != ()
    set_for_all = {"deep.dropout": 0.375} if has_layers else {}
    model = entry.build(FEATURES, **{**SMALL[entry.name], **set_for_all})
    assert model.name == entry.name
    found = {getattr(layer, "dropout", getattr(layer, "rate", None)) for layer in model._flatten_layers()}
    assert (0.375 in found) == bool(set_for_all)


@pytest.mark.parametrize("name", ["xdeepint", "dynint_da", "dynint_dgp", "dynint_dwp"])
def test_without_layers_the_logit_is_linear_in_the_embeddings(name: str) -> None:
    features = EncodedFeatures.from_sizes([5, 7])
    model = build_model(name, features, **{"embedding.dim": 4, "num_layers": 0, "num_subspaces": 1})
    # The table, a weight for each field and the offset.
    assert [tuple(weight.shape) for weight in model.trainable_weights[1:]] == [(2, 1), (1,)]
