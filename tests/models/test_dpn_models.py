"""DPN's models: the paper's parameter counts, contexts, special cases, and histories of different kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field
from dynctr_tf.models import (
    CATALOGUE,
    Deep,
    Embedding,
    History,
    Operation,
    build_model,
    dien,
    din,
    dpn,
    dpn_field,
    dyjoint,
    dymlp,
    field_dnn,
    kfatt,
    sdpn,
    transformer,
)
from pipelines.papers.parameter_counts import PRINTED, count_parameters

FEATURES = EncodedFeatures(
    fields=(Field("user", "user", 1, 9), Field("item", "item", 10, 9), Field("category", "item", 19, 4)),
    sequences=(
        EncodedSequence("items", "user", 4, 10, 9, field="item"),
        EncodedSequence("categories", "user", 4, 19, 4, field="category"),
        EncodedSequence("words", "context", 6, 30, 5),
    ),
)
SMALL: dict[str, Any] = {"embedding": Embedding(4), "deep": Deep((6,))}
BATCH = {
    "fields": np.array([[1, 10, 19], [2, 11, 20], [9, 18, 22]], np.int32),
    "items": np.array([[10, 11, 12, 13], [11, 0, 0, 0], [0, 0, 0, 0]], np.int32),
    "categories": np.array([[19, 20, 19, 19], [20, 0, 0, 0], [0, 0, 0, 0]], np.int32),
    "words": np.array([[30, 31, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [32, 32, 32, 32, 32, 32]], np.int32),
}


@pytest.mark.parametrize("printed", PRINTED, ids=lambda printed: f"{printed.table}, {printed.row}")
def test_parameter_counts_are_those_of_the_paper(printed: Any) -> None:
    found = count_parameters(printed)
    assert (round(found / 1000) == printed.thousands) == (not printed.remark), found


def test_exact_counts() -> None:
    found = {printed.row: count_parameters(printed) for printed in PRINTED[:10]}
    assert found["MLP of 2 layers, 300"] == 101_101
    assert found["HyperDense"] == 371_101
    assert found["equation 5, l = 4, softmax"] == 129_125
    assert found["equation 5, h = 2"] == 101_463
    assert found["equation 5, h = 2, shared heads"] == 101_225
    assert found["P phi(z) Q"] == 107_781
    assert found["W0 + P phi(z) Q"] - found["P phi(z) Q"] == 30 * 300


@pytest.mark.parametrize("context", ["x0", "z0", "x:user", "z:item", "x:category", "previous"])
@pytest.mark.parametrize("operation", ["mixture_of_kernels", "hyper_dense", "decomposed"])
def test_any_context_goes_with_any_operation(context: str, operation: str) -> None:
    model = dpn(
        FEATURES,
        embedding=Embedding(2),
        deep=Deep((4, 3), batch_norm=True),
        contexts=(context, None),
        operation=Operation(operation, rank=2),
    )
    assert np.isfinite(model(BATCH, training=False).numpy()).all()
    assert model({key: value[:1] for key, value in BATCH.items()}, training=False).shape == (1, 1)


def test_only_the_fields_of_the_context_steer() -> None:
    model = dpn(FEATURES, embedding=Embedding(2), deep=Deep((4,)), contexts="z:category")
    generator = model.get_layer("dynamic_1").generator
    assert generator.kernels[0].shape[0] == 2  # one field
    table = model.get_layer("embedding").table
    assert tuple(table.shape) == (FEATURES.num_ids, 4)  # two embeddings of 2 in a row


@pytest.mark.parametrize("layers", [(), (1,), (2,), (1, 3), (1, 2, 3)])
def test_any_subset_of_the_layers_can_be_dynamic(layers: tuple[int, ...]) -> None:
    contexts = ["x0" if index in layers else None for index in (1, 2, 3)]
    model = dpn(FEATURES, embedding=Embedding(2), deep=Deep((4, 3, 2), batch_norm=True), contexts=contexts)
    names = {layer.name for layer in model.layers}
    assert {f"dynamic_{index}" if index in layers else f"dense_{index}" for index in (1, 2, 3)} <= names


def test_field_dnn_transforms_each_field_alone_and_by_the_same_layers() -> None:
    features = EncodedFeatures.from_sizes([9, 9, 4])
    model = field_dnn(features, embedding=Embedding(4, initial_scale=1.0), deep=Deep((6, 5)))
    hidden = keras.Model(model.inputs, model.get_layer("activation_2").output)
    rows = np.array([[1, 10, 19], [10, 1, 19], [1, 10, 20]], np.int32)
    base, swapped, other = hidden({"fields": rows}).numpy()
    assert base.shape == (3, 5)
    np.testing.assert_allclose(swapped[[1, 0, 2]], base, rtol=1e-6)
    np.testing.assert_array_equal(other[:2], base[:2])
    assert np.abs(other[2] - base[2]).max() > 0


def test_defaults_are_those_of_the_papers_setting_but_for_its_normalisation() -> None:
    for name in ("dpn", "dymlp", "dyjoint"):
        defaults = CATALOGUE[name].defaults
        assert (defaults["embedding.dim"], defaults["deep.units"]) == (10, (400,) * 3)
        assert defaults["deep.batch_norm"] is False  # the paper's is True, see the docstring
        assert [defaults[f"operation.{name}"] for name in ("num_kernels", "gate_activation")] == [4, "softmax"]
        assert defaults["deep.activation"] == "relu"
    assert CATALOGUE["dpn_field"].defaults["deep.units"] == (100, 100)


@pytest.mark.parametrize("name", ["din", "dien", "transformer", "kfatt"])
def test_the_catalogue_lets_any_model_of_behaviours_have_both_operations(name: str) -> None:
    defaults = CATALOGUE[name].defaults
    assert defaults["history.homogeneous"] is defaults["history.heterogeneous"] is False
    model = build_model(name, FEATURES, **SMALL, history=History(homogeneous=True, heterogeneous=True))
    assert {"homogeneous", "heterogeneous"} <= {layer.name for layer in model.layers}


def test_the_auxiliary_loss_of_dien_is_there_unless_it_has_no_weight() -> None:
    found = []
    for weight in (1.0, 0.5, 0.0):
        keras.utils.set_random_seed(3)
        model = dien(FEATURES, **SMALL, auxiliary_weight=weight)
        model(BATCH, training=True)
        found.append(float(tf.add_n(model.losses)) if model.losses else 0.0)
    assert found[0] > 0 and found[1] == pytest.approx(found[0] / 2, rel=1e-5) and found[2] == 0


OURS = ["dpn", "dpn_field", "dymlp", "dyjoint", "sdpn", "din_heter", "dien_heter", "transformer_homo", "kfatt"]


@pytest.mark.parametrize("name", OURS)
def test_gradients_are_the_slope_of_the_loss(name: str) -> None:
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    options = {"embedding.dim": 4, "deep.units": (6,), **({"contexts": "z0"} if name == "dpn" else {})}
    if name in ("dpn", "dpn_field", "dymlp", "dyjoint"):
        options["deep.batch_norm"] = True  # as in the paper
    model = build_model(name, FEATURES, **options)
    batch = {key: tf.constant(value) for key, value in BATCH.items()}

    def loss() -> tf.Tensor:
        logits = model(batch, training=False)
        return tf.add_n([tf.reduce_sum(tf.constant([[1.0], [-2.0], [1.5]]) * logits), *model.losses])

    weights = [stack.raw_variable(weight) for weight in model.trainable_weights]
    for weight in weights:
        weight.assign_add(random.normal(0, 0.2, weight.shape).astype(np.float32))
    with tf.GradientTape() as tape:
        value = loss()
    gradients = [tf.convert_to_tensor(g).numpy().astype(np.float64) for g in tape.gradient(value, weights)]
    # Each weight goes along its own gradient by the same length, so that small gradients count as large ones do; one
    # whose gradient is 0, behind units that answer none of the rows, goes anywhere, which must change nothing.
    lines = [gradient if gradient.any() else random.normal(size=gradient.shape) for gradient in gradients]
    directions = [line / np.linalg.norm(line) for line in lines]
    starts, slopes = [weight.numpy() for weight in weights], []
    for step in (2e-3, 2e-4):  # the larger one may cross the kink of a ReLU, the smaller one drowns in rounding
        losses = []
        for sign in (1, -1):
            for weight, start, direction in zip(weights, starts, directions, strict=True):
                weight.assign((start + sign * step * direction).astype(np.float32))
            losses.append(float(loss()))
        slopes.append((losses[0] - losses[1]) / (2 * step))
    expected = sum(np.linalg.norm(gradient) for gradient in gradients)
    assert any(slope == pytest.approx(expected, rel=0.02) for slope in slopes), (expected, slopes)


@pytest.mark.parametrize("make", [din, dien, transformer, kfatt])
@pytest.mark.parametrize("homogeneous", [False, True])
@pytest.mark.parametrize("heterogeneous", [False, True])
def test_models_of_behaviours_take_both_operations(make: Any, homogeneous: bool, heterogeneous: bool) -> None:
    model = make(FEATURES, **SMALL, history=History(homogeneous=homogeneous, heterogeneous=heterogeneous))
    names = [layer.name for layer in model.layers]
    assert ("homogeneous" in names, "heterogeneous" in names) == (homogeneous, heterogeneous)
    assert np.isfinite(model(BATCH, training=False).numpy()).all()


def test_sdpn_has_no_attention() -> None:
    model = sdpn(FEATURES, **SMALL)
    kinds = {type(layer).__name__ for layer in model.layers}
    assert {"DynamicConvolution", "QueryOperation"} <= kinds
    assert not [kind for kind in kinds if "Attention" in kind]


@pytest.mark.parametrize("make", [sdpn, din, dien, transformer, kfatt, dyjoint])
def test_what_padding_holds_never_changes_a_logit(make: Any) -> None:
    """The first sequence says where padding is; what the others hold there is of no account."""
    model = make(FEATURES, **SMALL)
    expected = model(BATCH, training=False).numpy()
    other = {**BATCH, "categories": np.where(BATCH["items"] == 0, 22, BATCH["categories"]).astype(np.int32)}
    np.testing.assert_allclose(model(other, training=False).numpy(), expected, atol=1e-6)
    together = [model({key: value[row : row + 1] for key, value in BATCH.items()}, training=False) for row in range(3)]
    np.testing.assert_allclose(np.concatenate(together), expected, atol=1e-6)


def test_behaviours_can_be_chosen() -> None:
    one = sdpn(FEATURES, **SMALL, history=History(("items",), homogeneous=True, heterogeneous=True))
    assert one.get_layer("homogeneous").experts.shape[2] == 4
    assert sdpn(FEATURES, **SMALL).get_layer("homogeneous").experts.shape[2] == 8


def test_dymlp_without_field_operation_is_dpn() -> None:
    options: dict[str, Any] = {**SMALL, "operation": Operation()}
    one, other = dymlp(FEATURES, **options, field_dim=0), dpn(FEATURES, **options)
    other.set_weights(one.get_weights())
    np.testing.assert_array_equal(one(BATCH, training=False), other(BATCH, training=False))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dpn(FEATURES, operation=Operation("hyperdense")), "'hyper_dense'"),
        (lambda: dpn(FEATURES, contexts=("x0", "x0")), "each of 3 layers"),
        (lambda: dpn(FEATURES, contexts="w0"), "Unknown context"),
        (lambda: dpn(FEATURES, contexts="x:items"), "Did you mean 'item'"),
        (lambda: dpn(FEATURES, contexts="x:scenario"), "No field has the role"),
        (lambda: dpn(FEATURES, contexts=("y1", "y1", "y1")), "layers before it"),
        (lambda: dpn_field(FEATURES, contexts="previously"), "'previous'"),
        (lambda: dpn_field(FEATURES, aggregator="mean"), "aggregator"),
        (lambda: field_dnn(FEATURES, deep=Deep(())), "one or more widths"),
        (lambda: sdpn(EncodedFeatures.from_sizes([3])), "at least one sequence"),
        (lambda: din(FEATURES, history=History(("item",))), "Did you mean 'items'"),
        (lambda: din(FEATURES, history=History(("items", "words"))), "repeat the ids"),
        (lambda: kfatt(FEATURES, key="category"), "categories"),
    ],
)
def test_wrong_names_and_values_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("encoder", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("decoder", [(True, False), (False, True), (True, True)])
def test_each_side_has_attention_the_operation_or_both(encoder: tuple[bool, bool], decoder: tuple[bool, bool]) -> None:
    """The rows of the paper's table 4; with the operations alone the layers are those of sDPN."""
    features = EncodedFeatures(
        (Field("item", "item", 1, 9),), (EncodedSequence("items", "user", 5, 1, 9, field="item"),)
    )
    options = {
        "embedding.dim": 4,
        "deep.units": (8,),
        "encoder_attention": encoder[0],
        "decoder_attention": decoder[0],
        "history.homogeneous": encoder[1],
        "history.heterogeneous": decoder[1],
    }
    model = build_model("transformer", features, **options)
    names = {layer.name for layer in model.layers}
    assert [name in names for name in ("encoder", "homogeneous", "decoder", "heterogeneous")] == [*encoder, *decoder]
    assert ("encoder_norm" in names) == all(encoder)
    if not encoder[0] and not decoder[0]:
        alone = build_model("sdpn", features, **{"embedding.dim": 4, "deep.units": (8,)})
        assert [type(layer) for layer in model.layers] == [type(layer) for layer in alone.layers]
        assert model.count_params() == alone.count_params()
    if not encoder[0]:
        with pytest.raises(ValueError, match="so history.homogeneous must be true"):
            build_model("transformer", features, **{**options, "history.homogeneous": False})
