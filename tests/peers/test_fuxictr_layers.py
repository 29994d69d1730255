"""Our layers and those of FuxiCTR's package with the same weights give the same outputs; the zoo is not needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

torch = pytest.importorskip("torch")
peer = pytest.importorskip("fuxictr.pytorch.layers")

from dynctr_tf import layers  # noqa: E402
from pipelines.peers.copied_weights import TOLERANCE, cin_kernel, square_matrices  # noqa: E402

RANDOM = np.random.default_rng(5)
FIELD_MAP = RANDOM.normal(size=(8, 5, 4)).astype(np.float32)
FLAT = FIELD_MAP.reshape(8, 20)


def drawn(layer: Any, *inputs: np.ndarray) -> list[np.ndarray]:
    """Builds a layer of ours on the inputs, gives it random weights and returns these."""
    layer([tf.constant(x) for x in inputs] if len(inputs) > 1 else tf.constant(inputs[0]))
    layer.set_weights([RANDOM.uniform(0.2, 1.0, weight.shape) - 0.5 for weight in layer.weights])
    return [np.asarray(weight, np.float32) for weight in layer.get_weights()]


def set_tensors(module: Any, values: dict[str, np.ndarray]) -> Any:
    """Sets all parameters of a module of the peer; `load_state_dict` refuses missing and unknown ones."""
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(np.reshape(value, shapes[name]), np.float32))
        for name, value in values.items()
    }
    module.load_state_dict({**{k: v for k, v in module.state_dict().items() if "num_batches" in k}, **tensors})
    return module.eval()


def answer(module: Any, *inputs: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(*[torch.from_numpy(x) for x in inputs]).numpy()


def inner_product(ours: Any, output: str) -> tuple[Any, Any]:
    return ours(tf.constant(FIELD_MAP)), answer(peer.InnerProductInteraction(5, output=output), FIELD_MAP)


def bilinear(mode: str) -> tuple[Any, Any]:
    layer = layers.BilinearInteraction(mode)
    values = square_matrices(*drawn(layer, FIELD_MAP))
    if mode == "each":  # the peer keeps a matrix for the last field, the left one of no pair
        values = np.concatenate([values, np.zeros((1, 4, 4))])
    module = set_tensors(peer.BilinearInteraction(5, 4, f"field_{mode}"), {"bilinear_W": values})
    return layer(tf.constant(FIELD_MAP)), answer(module, FIELD_MAP)


def squeeze_excitation(activation: str) -> tuple[Any, Any]:
    layer = layers.SqueezeExcitation(2, activation=activation)
    squeeze, excite = drawn(layer, FIELD_MAP)
    module = peer.SqueezeExcitation(5, 2, activation)
    set_tensors(module, {"excitation.0.weight": squeeze.T, "excitation.2.weight": excite.T})
    return layer(tf.constant(FIELD_MAP)), answer(module, FIELD_MAP)


def compressed_interaction() -> tuple[Any, Any]:
    layer = layers.CompressedInteraction((4, 3, 2))
    weights = drawn(layer, FIELD_MAP)
    output = RANDOM.normal(size=(9, 1)).astype(np.float32)
    values = {"fc.weight": output.T, "fc.bias": np.zeros(1)}
    for index in range(3):
        values[f"cin_layer.layer_{index + 1}.weight"] = cin_kernel(weights[2 * index], 5).T
        values[f"cin_layer.layer_{index + 1}.bias"] = weights[2 * index + 1]
    module = set_tensors(peer.CompressedInteractionNet(5, [4, 3, 2]), values)
    return layer(tf.constant(FIELD_MAP)).numpy() @ output, answer(module, FIELD_MAP)


def cross_network() -> tuple[Any, Any]:
    layer = layers.VectorCrossNetwork(2)
    weights = drawn(layer, FLAT)
    values = {f"cross_net.{index}.weight.weight": weights[index].T for index in range(2)}
    values.update({f"cross_net.{index}.bias": weights[2 + index] for index in range(2)})
    return layer(tf.constant(FLAT)), answer(set_tensors(peer.CrossNet(20, 2), values), FLAT)


def cross_layer() -> tuple[Any, Any]:
    layer = layers.CrossLayer()
    kernel, bias = drawn(layer, FLAT)
    values = {"cross_layers.0.weight": kernel.T, "cross_layers.0.bias": bias}
    return layer(tf.constant(FLAT)), answer(set_tensors(peer.CrossNetV2(20, 1), values), FLAT)


def cross_mixture() -> tuple[Any, Any]:
    layer = layers.CrossMixtureLayer(3, 2)
    weights = drawn(layer, FLAT)
    values = {
        "V_list.0": np.stack(weights[0:2]),
        "C_list.0": np.stack([middle.T for middle in weights[2:4]]),
        "U_list.0": np.stack([up.T for up in weights[4:6]]),
        "bias.0": weights[6],
        "gating.0.weight": weights[7][:, :1],
        "gating.1.weight": weights[7][:, 1:],
    }
    module = set_tensors(peer.CrossNetMix(20, layer_num=1, low_rank=3, num_experts=2), values)
    return layer(tf.constant(FLAT)), answer(module, FLAT)


def multi_layer_perceptron() -> tuple[Any, Any]:
    layer = layers.MLP((6, 3))
    first, first_bias, second, second_bias = drawn(layer, FLAT)
    values = {"mlp.0.weight": first.T, "mlp.0.bias": first_bias, "mlp.2.weight": second.T, "mlp.2.bias": second_bias}
    return layer(tf.constant(FLAT)), answer(set_tensors(peer.MLP_Block(20, [6, 3]), values), FLAT)


def target_attention() -> tuple[Any, Any]:
    layer = layers.TargetAttention((6,), activation="relu")
    query = FIELD_MAP[:, 0]
    first, first_bias, last, last_bias = drawn(layer, query, FIELD_MAP)
    values = {
        "attention_layer.mlp.0.weight": first.T,
        "attention_layer.mlp.0.bias": first_bias,
        "attention_layer.mlp.2.weight": last.T,
        "attention_layer.mlp.2.bias": last_bias,
    }
    module = set_tensors(peer.DIN_Attention(4, attention_units=[6], hidden_activations="ReLU"), values)
    return layer([tf.constant(query), tf.constant(FIELD_MAP)]), answer(module, query, FIELD_MAP)


CASES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "FactorizationMachine": lambda: inner_product(layers.FactorizationMachine(), "product_sum"),
    "BiInteraction": lambda: inner_product(layers.BiInteraction(), "bi_interaction"),
    "InnerProduct": lambda: inner_product(layers.InnerProduct(), "inner_product"),
    "BilinearInteraction, all": lambda: bilinear("all"),
    "BilinearInteraction, each": lambda: bilinear("each"),
    "BilinearInteraction, interaction": lambda: bilinear("interaction"),
    "SqueezeExcitation, relu": lambda: squeeze_excitation("relu"),
    "SqueezeExcitation, sigmoid": lambda: squeeze_excitation("sigmoid"),
    "CompressedInteraction": compressed_interaction,
    "VectorCrossNetwork": cross_network,
    "CrossLayer": cross_layer,
    "CrossMixtureLayer": cross_mixture,
    "MLP": multi_layer_perceptron,
    "TargetAttention": target_attention,
}


@pytest.mark.parametrize("name", CASES)
def test_same_weights_give_the_same_output(name: str) -> None:
    ours, theirs = CASES[name]()
    assert np.asarray(theirs).std() > 0.01, "outputs that are all alike compare nothing"
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=TOLERANCE, atol=TOLERANCE)
