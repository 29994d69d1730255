"""DeepCTR's models with the weights of ours. Needs deepctr, on TensorFlow 2.15."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import deepctr.models
import numpy as np
import tensorflow as tf
from deepctr.feature_column import SparseFeat

from pipelines.peers.copied_weights import EMBEDDING_DIM, FIELD_SIZES, Case, Ours, cin_kernel, square_matrices

_NO_LINEAR = "the peer adds first-order weights, which the paper does not have: set to 0"
_SHARED_GATES = "the peer has one gate for all layers, the paper one for each: ours are set to the peer's"
_WIDTHS = {"deep.units": (8, 6)}
_DNN = {"dnn_hidden_units": (8, 6)}


class _Peer:
    """A model of DeepCTR into which weights are copied, layer by layer."""

    def __init__(self, ours: Ours, name: str, **arguments: Any) -> None:
        columns = [SparseFeat(f"f{i}", size, EMBEDDING_DIM) for i, size in enumerate(FIELD_SIZES)]
        function = getattr(deepctr.models, name)
        linear = "linear_feature_columns" in inspect.signature(function).parameters
        self.model = function(*[columns] * (1 + linear), **arguments)
        for i, (table, weights) in enumerate(zip(ours.tables(), ours.first_order(), strict=True)):
            self.model.get_layer(f"sparse_emb_f{i}").set_weights([table])
            if linear:
                self.model.get_layer(f"linear0sparse_emb_f{i}").set_weights([weights])
        self.given = {f"f{i}": ours.ids[:, i] for i in range(len(FIELD_SIZES))}
        self.copied: set[str] = {layer.name for layer in self.model.layers if "sparse_emb" in layer.name}

    def set(self, kind: str, weights: Iterable[np.ndarray], index: int = 0) -> None:
        """Sets the weights of the `index`-th layer of a class."""
        layer = [layer for layer in self.model.layers if type(layer).__name__ == kind and layer.weights][index]
        shapes = [weight.shape for weight in layer.weights]
        layer.set_weights([np.reshape(value, shape) for value, shape in zip(weights, shapes, strict=True)])
        self.copied.add(layer.name)

    def set_network(self, ours: Ours, layer: str = "mlp") -> None:
        """Sets the weights of the deep part: all kernels, then all biases."""
        kernels, biases = ours.dense(layer)
        self.set("DNN", [*kernels, *biases])

    def probabilities(self) -> np.ndarray:
        """The click probabilities of the rows.

        Raises:
            RuntimeError: A layer with weights was left as it started.
        """
        left = [layer.name for layer in self.model.layers if layer.weights and layer.name not in self.copied]
        if left:
            raise RuntimeError(f"These layers of the peer have weights that were not copied: {left}.")
        inputs = {key: tf.constant(value) for key, value in self.given.items()}
        return np.asarray(self.model(inputs, training=False), np.float64)[:, 0]


def _with_deep_part(name: str) -> Callable[[Ours], _Peer]:
    def build(ours: Ours) -> _Peer:
        peer = _Peer(ours, name, **_DNN)
        peer.set_network(ours)
        peer.set("Dense", ours.weights("deep"))
        peer.set("PredictionLayer", ours.weights("logit"))
        return peer

    return build


def _afm(ours: Ours) -> _Peer:
    peer = _Peer(ours, "AFM", attention_factor=3)
    peer.set("AFMLayer", [*ours.weights("attentional_pooling"), *ours.weights("pairs")])
    peer.set("PredictionLayer", ours.weights("logit"))
    return peer


def _set_last(peer: _Peer, ours: Ours) -> None:
    kernel, bias = ours.weights("logit")
    peer.set("Dense", [kernel])
    peer.set("PredictionLayer", [bias])


def _dcn(ours: Ours) -> _Peer:
    peer = _Peer(ours, "DCN", cross_num=2, cross_parameterization="vector", **_DNN)
    peer.set("CrossNet", ours.weights("cross"))
    peer.set_network(ours)
    _set_last(peer, ours)
    return peer


def _dcn_v2(ours: Ours) -> _Peer:
    peer = _Peer(ours, "DCN", cross_num=2, cross_parameterization="matrix", **_DNN)
    layers = [ours.weights(f"cross_{layer}") for layer in (1, 2)]
    # Ours multiplies rows from the right, x W; the peer columns from the left, W x.
    peer.set("CrossNet", [*(kernel.T for kernel, _ in layers), *(bias for _, bias in layers)])
    peer.set_network(ours)
    _set_last(peer, ours)
    return peer


def _dcn_v2_mix(ours: Ours) -> _Peer:
    peer = _Peer(ours, "DCNMix", cross_num=2, low_rank=3, num_experts=2, **_DNN)
    layers = [ours.weights(f"cross_{layer}") for layer in (1, 2)]
    gate = layers[0][7]
    ours.model.get_layer("cross_2").set_weights([*layers[1][:7], gate])
    values = {
        "U": [np.stack([up.T for up in layer[4:6]]) for layer in layers],
        "V": [np.stack(layer[0:2]) for layer in layers],
        "C": [np.stack([middle.T for middle in layer[2:4]]) for layer in layers],
        "bias": [layer[6] for layer in layers],
    }
    mixture = next(layer for layer in peer.model.layers if type(layer).__name__ == "CrossNetMix")
    for index in range(2):
        mixture.U_list[index].assign(values["U"][index])
        mixture.V_list[index].assign(values["V"][index])
        mixture.C_list[index].assign(values["C"][index])
        mixture.bias[index].assign(values["bias"][index][:, None])
        mixture.gating[index].set_weights([gate[:, index : index + 1]])
    peer.copied.add(mixture.name)
    peer.set_network(ours)
    _set_last(peer, ours)
    return peer


def _pnn(ours: Ours) -> _Peer:
    outer = ours.has("outer_product")
    peer = _Peer(ours, "PNN", use_inner=ours.has("inner_product"), use_outter=outer, kernel_type="mat", **_DNN)
    if outer:
        # (dim of j, pair, dim of i)
        peer.set("OutterProductLayer", [square_matrices(*ours.weights("outer_product")).transpose(2, 0, 1)])
    peer.set_network(ours)
    _set_last(peer, ours)
    return peer


def _xdeepfm(ours: Ours) -> _Peer:
    split_half = ours.model.get_layer("cin").split_half
    activation = "relu" if ours.model.get_layer("cin").activation.__name__ == "relu" else "linear"
    peer = _Peer(ours, "xDeepFM", cin_layer_size=(4, 3), cin_split_half=split_half, cin_activation=activation, **_DNN)
    first_kernel, first_bias, second_kernel, second_bias = ours.weights("cin")
    if split_half:
        # The half that goes on comes first in the peer and second in ours.
        first_kernel, first_bias = np.roll(first_kernel, 2, axis=1), np.roll(first_bias, 2)
    kernels = [cin_kernel(kernel, len(FIELD_SIZES)) for kernel in (first_kernel, second_kernel)]
    _set_by_name(peer, "CIN", {"filter0": kernels[0], "bias0": first_bias, "filter1": kernels[1], "bias1": second_bias})
    peer.set_network(ours)
    # Two layers of one output each; the CIN's is as wide as its maps.
    for index in range(2):
        layer = [layer for layer in peer.model.layers if type(layer).__name__ == "Dense"][index]
        wanted = "deep" if layer.weights[0].shape[0] == 6 else "compressed"
        peer.set("Dense", ours.weights(wanted), index)
    peer.set("PredictionLayer", ours.weights("logit"))
    return peer


def _set_by_name(peer: _Peer, kind: str, values: dict[str, np.ndarray]) -> None:
    layer = next(layer for layer in peer.model.layers if type(layer).__name__ == kind)
    ordered = [values[weight.name.split("/")[-1].split(":")[0]] for weight in layer.weights]
    peer.set(kind, ordered)


def _autoint(ours: Ours) -> _Peer:
    peer = _Peer(ours, "AutoInt", att_layer_num=2, att_embedding_size=3, att_head_num=2, **_DNN)
    for index in range(2):
        peer.set("InteractingLayer", ours.weights(f"attention_{index + 1}"), index)
    peer.set_network(ours)
    peer.set("Dense", [np.concatenate([*ours.weights("attended"), *ours.weights("deep")])])
    peer.set("PredictionLayer", ours.weights("logit"))
    return peer


def _fibinet(ours: Ours) -> _Peer:
    mode = ours.model.get_layer("bilinear").kind
    peer = _Peer(ours, "FiBiNET", bilinear_type=mode, reduction_ratio=2, **_DNN)
    peer.set("SENETLayer", ours.weights("squeeze_excitation"))
    matrices, kernel, bias = ours.weights("bilinear")
    excited_matrices, excited_kernel = ours.weights("excited_bilinear")
    layers = [layer for layer in peer.model.layers if type(layer).__name__ == "BilinearInteraction"]
    for layer in layers:
        # The layer that takes the output of the excitation is made first; names do not show it.
        from_excitation = "senet" in str(layer.inbound_nodes[0].inbound_layers).lower()
        layer.set_weights(list(square_matrices(excited_matrices if from_excitation else matrices)))
        peer.copied.add(layer.name)
    # The peer joins each pair's excited and plain product, and then the pairs.
    pairs = len(FIELD_SIZES) * (len(FIELD_SIZES) - 1) // 2
    both = [part.reshape(pairs, 1, EMBEDDING_DIM, -1) for part in (excited_kernel, kernel)]
    first = np.concatenate(both, axis=1).reshape(-1, kernel.shape[1])
    kernels, biases = ours.dense("mlp")
    peer.set("DNN", [first, *kernels, bias, *biases])
    peer.set("Dense", ours.weights("deep"))
    peer.set("PredictionLayer", ours.weights("logit"))
    return peer


_MIX = {**_WIDTHS, "num_layers": 2, "rank": 3, "num_experts": 2}
_CIN = {**_WIDTHS, "cin_units": (4, 3)}
_ATTENTION = {**_WIDTHS, "num_layers": 2, "num_heads": 2, "head_dim": 3}
CASES = {
    "wide_deep": Case("wide_deep", _WIDTHS, "WDL", _with_deep_part("WDL")),
    "deepfm": Case("deepfm", _WIDTHS, "DeepFM", _with_deep_part("DeepFM")),
    "nfm": Case("nfm", _WIDTHS, "NFM", _with_deep_part("NFM")),
    "afm": Case("afm", {"attention_dim": 3}, "AFM", _afm),
    "dcn": Case("dcn", {**_WIDTHS, "num_layers": 2}, "DCN (vector)", _dcn, _NO_LINEAR),
    "dcn_v2": Case("dcn_v2", {**_WIDTHS, "num_layers": 2}, "DCN (matrix)", _dcn_v2, _NO_LINEAR),
    "dcn_v2_mix": Case("dcn_v2_mix", _MIX, "DCNMix", _dcn_v2_mix, f"{_NO_LINEAR}; {_SHARED_GATES}"),
    "pnn-inner": Case("pnn", {**_WIDTHS, "product": "inner"}, "PNN (inner)", _pnn),
    "pnn-outer": Case("pnn", {**_WIDTHS, "product": "outer", "outer_kind": "kernel"}, "PNN (outer)", _pnn),
    "pnn-both": Case("pnn", {**_WIDTHS, "product": "both", "outer_kind": "kernel"}, "PNN (both)", _pnn),
    "xdeepfm": Case("xdeepfm", _CIN, "xDeepFM", _xdeepfm),
    "xdeepfm-split": Case(
        "xdeepfm", {**_CIN, "split_half": True, "cin_activation": "relu"}, "xDeepFM (split half, relu)", _xdeepfm
    ),
    "autoint_plus": Case("autoint_plus", _ATTENTION, "AutoInt", _autoint, _NO_LINEAR),
    **{
        f"fibinet-{mode}": Case(
            "fibinet", {**_WIDTHS, "bilinear_kind": mode, "reduction_ratio": 2}, f"FiBiNET ({mode})", _fibinet
        )
        for mode in ("all", "each", "interaction")
    },
}
"""The models that are compared with DeepCTR, by name."""
