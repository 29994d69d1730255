"""The adaptive forms of published models: what they are conditioned on, and what stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures, Field
from dynctr_tf.layers import AdaptiveMLP
from dynctr_tf.models import Adaptive, Condition, Deep, Embedding, apg, build_model, deepfm, model_entry
from dynctr_tf.models.adaptive.apg import APG_BASES

FEATURES = EncodedFeatures(
    fields=(Field("user", "user", 1, 9), Field("hour", "context", 10, 5), Field("item", "item", 15, 6)), num_groups=3
)
FIELDS = np.array([[3, 12, 16], [3, 12, 20], [8, 10, 16], [8, 12, 17]], np.int32)
GROUPS = np.array([0, 1, 2, 1], np.int32)
SMALL: dict[str, Any] = {"embedding": Embedding(4), "deep": Deep((6, 4)), "adaptive": Adaptive(2)}


def cores(model: Any, condition: Any) -> np.ndarray:
    layer = model.get_layer("mlp").dense_layers[0]
    core: np.ndarray = layer.generate(tf.convert_to_tensor(condition))["core"].numpy()
    return core


def condition_of(model: Any) -> np.ndarray:
    part = keras.Model(model.input, model.get_layer("condition").output)
    found: np.ndarray = part({"fields": FIELDS, "group": GROUPS}).numpy()
    return found


def test_self_wise_model_is_the_base_with_adaptive_layers() -> None:
    model = apg(FEATURES, base="deepfm", name="mine", **{**SMALL, "adaptive": Adaptive(2, 3, dynamic_bias=True)})
    layers = {layer.name: type(layer) for layer in deepfm(FEATURES, embedding=Embedding(4), deep=Deep((6, 4))).layers}
    assert {layer.name for layer in model.layers} == set(layers)
    assert model.name == "mine"
    perceptron = model.get_layer("mlp")
    assert isinstance(perceptron, AdaptiveMLP)
    assert {layer.bias_kind for layer in perceptron.dense_layers} == {"dynamic"}
    for name, kind in layers.items():
        assert name == "mlp" or type(model.get_layer(name)) is kind


@pytest.mark.parametrize("field", ["hour", None])
def test_group_is_a_field_or_the_index_of_the_batch(field: str | None) -> None:
    fields: tuple[str, ...] = () if field is None else (field,)
    model = apg(FEATURES, base="dnn", condition=Condition("group", fields, 5), **SMALL)
    table = model.get_layer("condition").get_weights()[0]
    numbers = FIELDS[:, 1] - 10 if field else GROUPS
    assert table.shape == (5 if field else 3, 5)
    np.testing.assert_array_equal(condition_of(model), table[numbers])
    generated = cores(model, condition_of(model))
    for one in range(4):
        for other in range(4):
            assert np.array_equal(generated[one], generated[other]) == (numbers[one] == numbers[other])


@pytest.mark.parametrize(("mix", "shape"), [("concatenate", (4, 8)), ("attention", (4, 4)), ("stack", (4, 2, 4))])
def test_mix_takes_the_embeddings_of_its_fields(mix: str, shape: tuple[int, ...]) -> None:
    model = apg(FEATURES, base="wide_deep", condition=Condition("mix", ("item", "user"), mix_kind=mix), **SMALL)
    condition = condition_of(model)
    assert condition.shape == shape
    embedded = keras.Model(model.input, model.get_layer("embedding").output)({"fields": FIELDS, "group": GROUPS})
    chosen = embedded[0].numpy()[:, [0, 2]]
    if mix == "concatenate":
        np.testing.assert_array_equal(condition, chosen.reshape(4, 8))
    elif mix == "stack":
        np.testing.assert_array_equal(condition, chosen)
    assert model({"fields": FIELDS, "group": GROUPS}).shape == (4, 1)


@pytest.mark.parametrize("base", APG_BASES)
def test_entries_have_the_options_and_search_spaces_of_both(base: str) -> None:
    entry = model_entry(f"apg_{base}")
    assert {"adaptive.rank", "condition.kind", "condition.fields", "deep.units"} <= set(entry.defaults)
    assert {"adaptive.rank", "deep.units", "embedding.dim"} <= set(entry.search_space)


def test_options_of_the_base_reach_it() -> None:
    model = build_model("apg_dcn_v2", FEATURES, num_layers=2, structure="stacked", **SMALL)
    assert [layer.name for layer in model.layers if layer.name.startswith("cross")] == ["cross_1", "cross_2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "deepfmm"}, "Did you mean 'deepfm'"),
        ({"condition": Condition(fields="user")}, "no fields"),
        ({"condition": Condition("mix", ["user"])}, "two or more fields"),
        ({"condition": Condition("mix", ["user", "itme"])}, "Did you mean 'item'"),
        ({"condition": Condition("group", "uesr")}, "Did you mean 'user'"),
        ({"condition": Condition("group", ["user", "item"])}, "one of the fields"),
        ({"dep": Deep((3,))}, "Did you mean 'deep'"),
        ({"deep": Deep(())}, "leaves none"),
        ({"base": "fibinet", "deep": Deep((8,))}, "after its first"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apg(FEATURES, **options)


def test_an_unknown_kind_of_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'group'"):
        Condition("groups")


def test_defaults_have_fewer_parameters_than_the_static_layers() -> None:
    """39 fields of 16 columns in front of three layers of 400: what the paper's saving is measured on."""
    features = EncodedFeatures.from_sizes([10] * 39)
    table = features.num_ids * 16
    static = build_model("dnn", features).count_params() - table
    adaptive = build_model("apg_dnn", features).count_params() - table
    assert static == 571_201 and adaptive == 408_897
