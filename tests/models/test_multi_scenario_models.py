"""Models of several scenarios: what they are in special cases, and scenarios that are small, one-sided or unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import models
from dynctr_tf.encoding.encoded_features import EncodedFeatures, Field
from dynctr_tf.losses import orthogonality
from dynctr_tf.models import (
    build_model,
    gatenet,
    lhuc,
    optmsm,
    pepnet,
    poso,
)

SMALL: dict[str, Any] = {"embedding.dim": 3, "deep.activation": "tanh"}
NETWORK: dict[str, Any] = {**SMALL, "deep.units": (5, 4)}
OPTMSM: dict[str, Any] = {**SMALL, "encoder_units": (5, 4), "tower_units": (4,), "scenario_dim": 3, "code_dim": 2}
MODELS: dict[str, dict[str, Any]] = {
    "optmsm": OPTMSM,
    "shared_bottom": {**SMALL, "deep.units": (5,), "tower_units": (4,)},
    "mmoe": {**SMALL, "num_experts": 2, "expert_units": (5,), "tower_units": ()},
    "ple": {**SMALL, "expert_units": (5,), "tower_units": ()},
    "star": {**SMALL, "deep.units": (5,)},
    "m2m": {**SMALL, "expert_units": (5, 4), "attention_dim": 3},
    "per_scenario": {**SMALL, "deep.units": (5,)},
}


def features_of(num_real: int = 3) -> EncodedFeatures:
    fields = (Field("user", "user", 1, 8), Field("page", "scenario", 9, num_real + 2), Field("item", "item", 20, 9))
    return EncodedFeatures(fields, num_scenarios=num_real + 2)


def batch_of(scenario: Any, seed: int = 0) -> dict[str, np.ndarray]:
    random, scenario = np.random.default_rng(seed), np.asarray(scenario, np.int32)
    user, item = (random.integers(first, first + count, len(scenario)) for first, count in ((1, 8), (20, 9)))
    return {"fields": np.stack([user, 9 + scenario, item], axis=1).astype(np.int32), "scenario": scenario}


SCENARIO = np.random.default_rng(3).integers(2, 5, 24)


def logits(model: Any, batch: dict[str, np.ndarray]) -> np.ndarray:
    return model({key: tf.constant(value) for key, value in batch.items()}, training=False).numpy()


def compile_eagerly(model: Any, optimizer: Any) -> None:
    """A few steps without a graph take less time than tracing one."""
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), run_eagerly=True)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def randomised(model: Any, seed: int = 1) -> Any:
    random = np.random.default_rng(seed)
    drawn = [random.normal(0, 0.5, weight.shape) for weight in model.get_weights()]
    paths = [getattr(weight, "path", weight.name) for weight in model.weights]
    model.set_weights([np.abs(w) if "variance" in path else w for path, w in zip(paths, drawn, strict=True)])
    return model


def copy_by_name(model: Any, other: Any, names: dict[str, str]) -> None:
    """Gives layers of one model the weights of layers of another."""
    for mine, theirs in names.items():
        weights = other.get_layer(theirs).get_weights()
        shapes = [weight.shape for weight in model.get_layer(mine).get_weights()]
        model.get_layer(mine).set_weights([w.reshape(shape) for w, shape in zip(weights, shapes, strict=True)])


# ------------------------------------------------------------------------------------------------------- identities


def test_one_expert_is_the_shared_bottom() -> None:
    one = randomised(build_model("mmoe", features_of(), num_experts=1, expert_units=(5, 4), tower_units=(3,), **SMALL))
    bottom = build_model("shared_bottom", features_of(), tower_units=(3,), **SMALL, **{"deep.units": (5, 4)})
    copy_by_name(bottom, one, {"embedding": "embedding", "bottom": "experts", "towers": "towers"})
    close(logits(bottom, batch_of(SCENARIO)), logits(one, batch_of(SCENARIO)))


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("tower_kind", ["scenario", "separate"])
def test_one_scenario_is_the_model_with_a_single_tower(tower_kind: str, rank: int | None) -> None:
    options = {**OPTMSM, "tower_kind": tower_kind}
    several = randomised(build_model("optmsm", features_of(1), rank=None, **options))
    single = build_model("optmsm", features_of(1), **{**OPTMSM, "tower_kind": "none"})
    encoders = ("embedding", "scenario_embedding", "specific_encoder", "shared_encoders", "combination")
    copy_by_name(single, several, {name: name for name in encoders})
    tower = several.get_layer("tower")
    parts = [[part.numpy()[1] for part in tower.dense_parameters(index, tf.range(2))] for index in (0, 1)]
    single.get_layer("tower").set_weights(parts[0])
    single.get_layer("logit").set_weights(parts[1])
    batch = batch_of(np.full(9, 2))
    close(logits(several, batch), logits(single, batch))
    low = build_model("optmsm", features_of(1), rank=rank, **{**options, "tower_units": (8,)})
    assert bool(low.get_layer("tower").factors) is (rank is not None)


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (pepnet, {}),
        (lhuc, {}),
        (poso, {}),
        (gatenet, {"gate_scale": 2.0}),
    ],
)
def test_silent_gates_leave_the_plain_network(build: Any, options: dict[str, Any]) -> None:
    gated = build_model(build.__name__, features_of(), **NETWORK, **options)
    for layer in gated.layers:
        if build is gatenet and "gate" in layer.name:
            layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    plain = build_model("dnn", features_of(), **NETWORK)
    copy_by_name(plain, gated, {"embedding": "embedding", "logit": "logit"})
    if build in (pepnet, poso):
        dense = gated.get_layer("mlp").dense_layers
    else:
        dense = [gated.get_layer(f"mlp_{index}") for index in (1, 2)]
    plain.get_layer("mlp").set_weights([weight for layer in dense for weight in layer.get_weights()])
    close(logits(gated, batch_of(SCENARIO)), logits(plain, batch_of(SCENARIO)))


def test_star_starts_as_one_shared_network() -> None:
    star = build_model("star", features_of(), partitioned_norm=False, auxiliary_units=None, **NETWORK)
    plain = build_model("dnn", features_of(), **NETWORK)
    shared = [tf.convert_to_tensor(w).numpy() for pair in star.get_layer("towers").shared for w in pair]
    copy_by_name(plain, star, {"embedding": "embedding"})
    plain.get_layer("mlp").set_weights(shared[:4])
    plain.get_layer("logit").set_weights(shared[4:])
    close(logits(star, batch_of([2, 3, 4, 0])), logits(plain, batch_of([2, 3, 4, 0])))


def test_models_per_scenario_share_nothing() -> None:
    model = randomised(build_model("per_scenario", features_of(), **MODELS["per_scenario"]))
    before, batch = logits(model, batch_of(SCENARIO)), batch_of(SCENARIO)
    own = batch["scenario"] == 3
    compile_eagerly(model, keras.optimizers.SGD(0.5))
    rows = {key: value[own] for key, value in batch.items()}
    model.fit(rows, np.ones(own.sum(), np.float32), verbose=0)
    after = logits(model, batch)
    np.testing.assert_array_equal(after[~own], before[~own])
    assert (after[own] != before[own]).all()


# ----------------------------------------------------------------------------------------------- OptMSM's arguments


@pytest.mark.parametrize(
    "options",
    [
        {"enhanced": False},
        {"enhanced": False, "tower_kind": "instance"},
        {"tower_kind": "instance", "rank": 1},
        {"tower_kind": "none", "orthogonal_weight": 0.0},
        {"tower_kind": "separate", "rank": 2, "combination_kind": "film"},
        {"combination_kind": "select", "orthogonal_kind": "frobenius"},
        {"combination_kind": "concatenate", "num_shared": 2, "specific": ["page", "item"]},
    ],
)
def test_each_part_of_optmsm_can_be_left_out_or_exchanged(options: dict[str, Any]) -> None:
    model = build_model("optmsm", features_of(), **{**OPTMSM, **options})
    batch, labels = batch_of(SCENARIO), (SCENARIO % 2).astype(np.float32)
    compile_eagerly(model, keras.optimizers.Adam(0.01))
    history = model.fit(batch, labels, batch_size=24, epochs=12, verbose=0).history["loss"]
    assert history[-1] < history[0]
    names = {layer.name for layer in model.layers}
    assert ("shared_encoders" in names) is options.get("enhanced", True)
    penalty = options.get("orthogonal_weight", 0.001) and options.get("enhanced", True)
    model({key: tf.constant(value) for key, value in batch.items()})
    assert len(model.losses) == bool(penalty)


def test_shared_embeddings_move_apart_in_training() -> None:
    keras.utils.set_random_seed(4)
    scenario = np.tile(SCENARIO, 3)
    batch, labels = batch_of(scenario), (scenario % 2).astype(np.float32)
    model = build_model("optmsm", features_of(), **{**OPTMSM, "orthogonal_kind": "frobenius", "orthogonal_weight": 0.3})
    shared = keras.Model(model.input, model.get_layer("shared_encoders").output)
    start = float(orthogonality(shared(batch), "frobenius"))
    model.compile(keras.optimizers.Adam(0.02), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(batch, labels, batch_size=24, epochs=20, verbose=0)
    assert float(orthogonality(shared(batch), "frobenius")) < 0.3 * start


def test_parameters_of_the_generator_and_of_separate_towers() -> None:
    tower = (8 * 4 + 4) + (4 + 1)
    options = {"combination_kind": "gate", "num_shared": 2}
    for count in (2, 10, 100):
        built = {
            kind: build_model("optmsm", features_of(count), **{**OPTMSM, **options, "tower_kind": kind})
            for kind in ("scenario", "separate")
        }
        assert built["separate"].get_layer("tower").count_params() == count * tower
        assert built["scenario"].get_layer("tower").count_params() == count * 3 + (3 + 1) * 2 + (2 + 1) * tower


# --------------------------------------------------------------------------------- small, one-sided, unknown scenarios


@pytest.mark.parametrize("name", MODELS)
def test_scenarios_of_few_rows_or_without_positives_train(name: str) -> None:
    keras.utils.set_random_seed(2)
    model = build_model(name, features_of(4), **MODELS[name])
    scenario = np.concatenate([np.full(40, 2), np.full(20, 3), [4]])  # scenario 5 has no row at all
    labels = (np.arange(61) % 2 == 0).astype(np.float32)
    labels[40:60] = 0.0
    compile_eagerly(model, keras.optimizers.SGD(0.1))
    history = model.fit(batch_of(scenario), labels, batch_size=32, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    for batch in (batch_of([5]), batch_of([2, 3, 4, 5, 0, 1]), batch_of(np.full(7, 3))):
        assert np.isfinite(logits(model, batch)).all()


@pytest.mark.parametrize("name", MODELS)
def test_unknown_scenarios_get_the_mean_or_an_error(name: str) -> None:
    model = randomised(build_model(name, features_of(), **MODELS[name]))
    batch = batch_of([2, 3, 4, 0, 1, 1])
    # The field of the scenario has an embedding for each bucket; apart from it, missing and unknown are one.
    batch["fields"][3:] = batch["fields"][3]
    found = logits(model, batch)
    np.testing.assert_allclose(found[4:], found[3:5], rtol=1e-5)
    strict = build_model(name, features_of(), unknown="error", **MODELS[name])
    strict.set_weights(model.get_weights())
    known = {key: value[:3] for key, value in batch.items()}
    close(logits(strict, known), found[:3])
    with pytest.raises(tf.errors.InvalidArgumentError, match="unknown="):
        logits(strict, batch)


@pytest.mark.parametrize("name", [*MODELS, "lhuc"])
def test_the_index_of_a_scenario_that_there_is_not_is_refused(name: str) -> None:
    """Of the models whose answer depends on the index; others read the scenario's field alone."""
    model = build_model(name, features_of(), **MODELS.get(name, SMALL))
    for index in (-1, 5):
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"(?s)to 4, and got another.*{index}\b"):
            logits(model, batch_of([2, index, 3]))


@pytest.mark.parametrize("name", [*MODELS, "pepnet", "lhuc"])
def test_data_without_scenarios_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="role 'scenario'"):
        build_model(name, EncodedFeatures.from_sizes([5, 6]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optmsm(features_of(), tower_kind="instanse"), "Did you mean 'instance'"),
        (lambda: optmsm(features_of(), combination_kind="select", num_shared=2), "got 2"),
        (lambda: optmsm(features_of(), specific=["user", "item", "page"]), "at least one must be shared"),
        (lambda: optmsm(features_of(), specific=["usr"]), "Did you mean 'user'"),
        (lambda: models.ple(features_of(), num_levels=0), "must be at least 1"),
        (lambda: models.mmoe(features_of(), personal=("itm",)), "Did you mean 'item'"),
        (lambda: pepnet(features_of(), personal=("query",)), "No field is one of"),
        (lambda: pepnet(features_of(), domain=[]), "at least one domain feature"),
        (lambda: models.masknet(features_of(), structure="paralel"), "Did you mean 'parallel'"),
        (lambda: models.masknet(features_of(), block_units=()), "at least one block"),
        (lambda: gatenet(features_of(), granularity="fields"), "Did you mean 'field'"),
    ],
)
def test_wrong_options_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
