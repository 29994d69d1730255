"""The models of FuxiCTR's zoo with the weights of ours. Needs torch, fuxictr and FUXICTR_ZOO beside this library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pipelines.peers.copied_weights import EMBEDDING_DIM, FIELD_SIZES, Case, Ours, cin_kernel, square_matrices
from pipelines.peers.fuxictr_zoo import build, feature_map

_NO_RESIDUAL_MATRIX = "the peer adds the input itself where widths agree, the paper W_res of it: ours set to I"
_SHARED_GATES = "the peer has one gate for all layers, the paper one for each: ours are set to the peer's"
_SUM_OF_PARTS = "the peer weighs the outputs of the two parts once more: its weights set to 1"
_WIDTHS = {"deep.units": (8, 6)}
_HIDDEN = [8, 6]


class _Peer:
    """A model of the zoo into which weights are copied, tensor by tensor."""

    def __init__(self, ours: Ours, folder: str, class_name: str, **arguments: Any) -> None:
        fields: dict[str, dict[str, Any]] = {
            f"f{i}": {"type": "categorical", "vocab_size": size} for i, size in enumerate(FIELD_SIZES)
        }
        self.given = {f"f{i}": ours.ids[:, i] for i in range(len(FIELD_SIZES))}
        length = ours.history.shape[1]
        if length:
            # Ids of a history count from 1, and those of its field with them.
            fields["f0"]["vocab_size"] += 1
            fields["history"] = {
                "type": "sequence",
                "vocab_size": FIELD_SIZES[0] + 1,
                "max_len": length,
                "share_embedding": "f0",
            }
            self.given["f0"] = self.given["f0"] + 1
            self.given["history"] = ours.history
        torch.manual_seed(0)
        features = feature_map(fields, EMBEDDING_DIM)
        self.model = build(folder, class_name, features, EMBEDDING_DIM, **arguments).eval()
        # Constants are parameters without a gradient there.
        self.left = {name for name, tensor in self.model.named_parameters() if tensor.requires_grad}
        self.left |= {name for name, _ in self.model.named_buffers() if "num_batches" not in name}

    def set(self, name: str, value: np.ndarray) -> None:
        """Sets one tensor; a kernel of ours, `(in, out)`, is what torch calls a weight transposed."""
        tensor = dict([*self.model.named_parameters(), *self.model.named_buffers()])[name]
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(np.reshape(value, tuple(tensor.shape)).astype(np.float32)))
        self.left.discard(name)

    def set_linear(self, name: str, kernel: np.ndarray, bias: np.ndarray | None) -> None:
        """Sets a linear layer; `bias` None for one that has no bias, or 0 for one that ours lacks."""
        self.set(f"{name}.weight", kernel.T)
        if bias is not None:
            self.set(f"{name}.bias", bias)

    def set_tables(self, tables: Sequence[np.ndarray], layer: str = "embedding_layer") -> None:
        """Sets the tables of an embedding layer."""
        for index, table in enumerate(tables):
            self.set(f"{layer}.embedding_layer.embedding_layers.f{index}.weight", table)

    def set_network(self, ours: Ours, name: str, output: tuple[np.ndarray, np.ndarray] | None, layer: str) -> None:
        """Sets an MLP block, and its last layer where it makes the logit."""
        kernels, biases = ours.dense(layer)
        if output is not None:
            kernels, biases = [*kernels, output[0]], [*biases, output[1]]
        # Every second layer is an activation.
        for index, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            self.set_linear(f"{name}.mlp.{2 * index}", kernel, bias)

    def probabilities(self) -> np.ndarray:
        """The click probabilities of the rows.

        Raises:
            RuntimeError: A tensor was left as it started.
        """
        if self.left:
            raise RuntimeError(f"These tensors of the peer were not copied: {sorted(self.left)}.")
        inputs = {name: torch.from_numpy(values) for name, values in self.given.items()}
        inputs["label"] = torch.zeros(len(next(iter(inputs.values()))), 1)
        with torch.no_grad():
            return np.asarray(self.model.forward(inputs)["y_pred"].numpy(), np.float64)[:, 0]


_ZERO = np.zeros(1)


def _deep_output(ours: Ours) -> tuple[np.ndarray, np.ndarray]:
    """The dense layer that makes the deep part's share of the logit, and the model's one bias."""
    (kernel,), (bias,) = ours.weights("deep"), ours.weights("logit")
    return kernel, bias


def _last(peer: _Peer, ours: Ours) -> None:
    kernel, bias = ours.weights("logit")
    peer.set_linear("fc", kernel, bias)


def _lr(ours: Ours) -> _Peer:
    peer = _Peer(ours, "LR", "LR")
    table, bias = ours.weights("embedding")[0], ours.weights("logit")[0]
    columns = [table[field.first_id : field.first_id + field.num_ids] for field in ours.features.fields]
    peer.set_tables(columns, "lr_layer.embedding_layer")
    peer.set("lr_layer.bias", bias)
    return peer


def _fm(ours: Ours) -> _Peer:
    peer = _Peer(ours, "FM", "FM")
    peer.set_tables(ours.tables())
    peer.set_tables(ours.first_order(), "fm.lr_layer.embedding_layer")
    peer.set("fm.lr_layer.bias", ours.weights("logit")[0])
    return peer


def _dnn(ours: Ours) -> _Peer:
    peer = _Peer(ours, "DNN/DNN_torch", "DNN", hidden_units=_HIDDEN, hidden_activations="relu")
    peer.set_tables(ours.tables())
    kernel, bias = ours.weights("logit")
    peer.set_network(ours, "mlp", (kernel, bias), "mlp")
    return peer


def _wide_deep(ours: Ours) -> _Peer:
    peer = _Peer(ours, "WideDeep/WideDeep_torch", "WideDeep", hidden_units=_HIDDEN)
    peer.set_tables(ours.tables())
    peer.set_tables(ours.first_order(), "lr_layer.embedding_layer")
    peer.set_network(ours, "dnn", _deep_output(ours), "mlp")
    return peer


def _deepfm(ours: Ours) -> _Peer:
    peer = _Peer(ours, "DeepFM/DeepFM_torch", "DeepFM", hidden_units=_HIDDEN)
    peer.set_tables(ours.tables())
    peer.set_tables(ours.first_order(), "fm.lr_layer.embedding_layer")
    peer.set("fm.lr_layer.bias", _ZERO)
    peer.set_network(ours, "mlp", _deep_output(ours), "mlp")
    return peer


def _nfm(ours: Ours) -> _Peer:
    peer = _Peer(ours, "NFM", "NFM", hidden_units=_HIDDEN)
    peer.set_tables(ours.tables())
    peer.set_tables(ours.first_order(), "lr_layer.embedding_layer")
    peer.set_network(ours, "dnn", _deep_output(ours), "mlp")
    return peer


def _afm(ours: Ours) -> _Peer:
    peer = _Peer(ours, "AFM", "AFM", attention_dim=3)
    peer.set_tables(ours.tables())
    peer.set_tables(ours.first_order(), "lr_layer.embedding_layer")
    kernel, bias, score = ours.weights("attentional_pooling")
    peer.set_linear("attention.0", kernel, bias)
    peer.set_linear("attention.2", score, None)
    peer.set_linear("weight_p", ours.weights("pairs")[0], None)
    peer.set("lr_layer.bias", ours.weights("logit")[0])
    return peer


def _hofm(ours: Ours) -> _Peer:
    peer = _Peer(ours, "HOFM", "HOFM", order=3)
    for part in range(2):
        peer.set_tables(ours.tables(part, 2), f"embedding_layers.{part}")
    peer.set_tables(ours.first_order(), "lr_layer.embedding_layer")
    peer.set("lr_layer.bias", ours.weights("logit")[0])
    return peer


def _deep_crossing(ours: Ours) -> _Peer:
    peer = _Peer(ours, "DeepCrossing", "DeepCrossing", residual_blocks=_HIDDEN)
    peer.set_tables(ours.tables())
    units = [layer.name for layer in ours.model.layers if type(layer).__name__ == "ResidualUnit"]
    for index, unit in enumerate(units):
        layer = ours.model.get_layer(unit)
        for place, kernel, bias in zip((0, 2), layer.kernels, layer.biases, strict=True):
            peer.set_linear(f"crossing_layer.{index}.layer.{place}", np.asarray(kernel), np.asarray(bias))
    kernel, bias = ours.weights("logit")
    peer.set_linear(f"crossing_layer.{len(units)}", kernel, bias)
    return peer


def _dcn(ours: Ours) -> _Peer:
    peer = _Peer(ours, "DCN/DCN_torch", "DCN", num_cross_layers=2, dnn_hidden_units=_HIDDEN)
    peer.set_tables(ours.tables())
    weights = ours.weights("cross")
    for index in range(2):
        peer.set_linear(f"crossnet.cross_net.{index}.weight", weights[index], None)
        peer.set(f"crossnet.cross_net.{index}.bias", weights[2 + index])
    peer.set_network(ours, "dnn", None, "mlp")
    _last(peer, ours)
    return peer


def _dcn_v2(ours: Ours) -> _Peer:
    structure = "parallel" if ours.has("concatenate") else "stacked"
    peer = _Peer(
        ours,
        "DCNv2",
        "DCNv2",
        model_structure=structure,
        num_cross_layers=2,
        **{f"{structure}_dnn_hidden_units": _HIDDEN},
    )
    peer.set_tables(ours.tables())
    for index in range(2):
        peer.set_linear(f"crossnet.cross_layers.{index}", *ours.weights(f"cross_{index + 1}"))
    peer.set_network(ours, f"{structure}_dnn", None, "mlp")
    _last(peer, ours)
    return peer


def _dcn_v2_mix(ours: Ours) -> _Peer:
    peer = _Peer(
        ours,
        "DCNv2",
        "DCNv2",
        model_structure="parallel",
        num_cross_layers=2,
        parallel_dnn_hidden_units=_HIDDEN,
        use_low_rank_mixture=True,
        low_rank=3,
        num_experts=2,
    )
    peer.set_tables(ours.tables())
    layers = [ours.weights(f"cross_{layer}") for layer in (1, 2)]
    gate = layers[0][7]
    ours.model.get_layer("cross_2").set_weights([*layers[1][:7], gate])
    for index, layer in enumerate(layers):
        peer.set(f"crossnet.U_list.{index}", np.stack([up.T for up in layer[4:6]]))
        peer.set(f"crossnet.V_list.{index}", np.stack(layer[0:2]))
        peer.set(f"crossnet.C_list.{index}", np.stack([middle.T for middle in layer[2:4]]))
        peer.set(f"crossnet.bias.{index}", layer[6])
    for expert in range(2):
        peer.set_linear(f"crossnet.gating.{expert}", gate[:, expert : expert + 1], None)
    peer.set_network(ours, "parallel_dnn", None, "mlp")
    _last(peer, ours)
    return peer


def _pnn(ours: Ours) -> _Peer:
    peer = _Peer(ours, "PNN", "PNN", hidden_units=_HIDDEN)
    peer.set_tables(ours.tables())
    kernel, bias = ours.weights("logit")
    peer.set_network(ours, "dnn", (kernel, bias), "mlp")
    return peer


def _xdeepfm(ours: Ours) -> _Peer:
    deep = ours.has("mlp")
    hidden = _HIDDEN if deep else []
    peer = _Peer(ours, "xDeepFM", "xDeepFM", dnn_hidden_units=hidden, cin_hidden_units=[4, 2])
    peer.set_tables(ours.tables())
    peer.set_tables(ours.first_order(), "lr_layer.embedding_layer")
    for index, (kernel, bias) in enumerate(zip(*ours.dense("cin"), strict=True)):
        peer.set_linear(f"cin.cin_layer.layer_{index + 1}", cin_kernel(kernel, len(FIELD_SIZES)), bias)
    bias = ours.weights("logit")[0]
    peer.set_linear("cin.fc", ours.weights("compressed")[0], _ZERO if deep else bias)
    if deep:
        peer.set_network(ours, "dnn", _deep_output(ours), "mlp")
    return peer


def _autoint(ours: Ours) -> _Peer:
    deep = ours.has("mlp")
    hidden = _HIDDEN if deep else []
    peer = _Peer(ours, "AutoInt", "AutoInt", dnn_hidden_units=hidden, attention_layers=2, num_heads=2, attention_dim=6)
    peer.set_tables(ours.tables())
    for index in range(2):
        layer = ours.model.get_layer(f"attention_{index + 1}")
        query, key, value, residual = ours.weights(layer.name)
        if residual.shape[0] == residual.shape[1]:
            layer.set_weights([query, key, value, np.eye(len(residual))])
        else:
            peer.set_linear(f"self_attention.{index}.W_res", residual, None)
        for name, kernel in (("W_q", query), ("W_k", key), ("W_v", value)):
            peer.set_linear(f"self_attention.{index}.{name}", kernel, None)
    bias = ours.weights("logit")[0]
    peer.set_linear("fc", ours.weights("attended")[0], _ZERO if deep else bias)
    if deep:
        peer.set_network(ours, "dnn", _deep_output(ours), "mlp")
    return peer


def _fibinet(ours: Ours) -> _Peer:
    mode = ours.model.get_layer("bilinear").kind
    peer = _Peer(ours, "FiBiNET", "FiBiNET", hidden_units=_HIDDEN, reduction_ratio=2, bilinear_type=f"field_{mode}")
    peer.set_tables(ours.tables())
    peer.set_tables(ours.first_order(), "lr_layer.embedding_layer")
    squeeze, excite = ours.weights("squeeze_excitation")
    peer.set_linear("senet_layer.excitation.0", squeeze, None)
    peer.set_linear("senet_layer.excitation.2", excite, None)
    matrices, kernel, bias = ours.weights("bilinear")
    excited_matrices, excited_kernel = ours.weights("excited_bilinear")
    for index, own in ((1, matrices), (2, excited_matrices)):
        values = square_matrices(own)
        if mode == "each":
            # The peer also has a matrix for the last field, which is never the left one of a pair.
            values = np.concatenate([values, np.zeros_like(values[:1])])
        peer.set(f"bilinear_interaction{index}.bilinear_W", values)
    kernels, biases = ours.dense("mlp")
    output = _deep_output(ours)
    kernels = [np.concatenate([kernel, excited_kernel]), *kernels, output[0]]
    for index, (each, own) in enumerate(zip(kernels, [bias, *biases, output[1]], strict=True)):
        peer.set_linear(f"dnn.mlp.{2 * index}", each, own)
    return peer


def _afn(ours: Ours) -> _Peer:
    deep = ours.has("dnn")
    peer = _Peer(
        ours,
        "AFN",
        "AFN",
        ensemble_dnn=deep,
        dnn_hidden_units=_HIDDEN,
        afn_hidden_units=_HIDDEN,
        logarithmic_neurons=5,
        batch_norm=False,
    )
    peer.set_tables(ours.tables(0, 1 + deep))
    layer = ours.model.get_layer("logarithmic")
    peer.set_linear("coefficient_W", np.asarray(layer.kernel), None)
    scale, mean, variance = layer.log_norm.get_weights()
    values = {"weight": scale, "bias": np.zeros_like(scale), "running_mean": mean, "running_var": variance}
    for name, value in values.items():
        peer.set(f"log_batch_norm.{name}", value)
    for name, value in zip(
        ("weight", "bias", "running_mean", "running_var"), layer.exp_norm.get_weights(), strict=True
    ):
        peer.set(f"exp_batch_norm.{name}", value)
    bias = ours.weights("logit")[0]
    peer.set_network(ours, "dense_layer", (ours.weights("adaptive")[0], _ZERO if deep else bias), "mlp")
    if deep:
        peer.set_tables(ours.tables(1, 2), "embedding_layer2")
        peer.set_network(ours, "dnn", (ours.weights("deep")[0], _ZERO), "dnn")
        peer.set_linear("fc", np.ones((2, 1)), bias)
    return peer


def _din(ours: Ours) -> _Peer:
    softmax = ours.model.get_layer("target_attention").softmax
    peer = _Peer(
        ours,
        "DIN",
        "DIN",
        dnn_hidden_units=_HIDDEN,
        dnn_activations="ReLU",
        attention_hidden_units=[5],
        attention_hidden_activations="Dice",
        din_target_field=["f0"],
        din_sequence_field=["history"],
        din_use_softmax=softmax,
    )
    # A row of zeros for padding before the rows of the field that the history repeats.
    tables = ours.tables()
    tables[0] = np.concatenate([np.zeros((1, EMBEDDING_DIM)), tables[0]])
    for index, table in enumerate(tables):
        peer.set(f"embedding_layer.embedding_layers.f{index}.weight", table)
    layer = ours.model.get_layer("target_attention")
    first, dice, last = layer._steps
    peer.set_linear("attention_layers.0.attention_layer.mlp.0", *first.get_weights())
    peer.set("attention_layers.0.attention_layer.mlp.1.alpha", np.asarray(dice.alpha))
    for name, value in zip(("running_mean", "running_var"), dice.normalization.get_weights(), strict=True):
        peer.set(f"attention_layers.0.attention_layer.mlp.1.bn.{name}", value)
    kernel, bias = [*last.get_weights(), _ZERO][:2]
    peer.set_linear("attention_layers.0.attention_layer.mlp.2", kernel, bias)
    kernel, bias = ours.weights("logit")
    peer.set_network(ours, "dnn", (kernel, bias), "mlp")
    return peer


_MIX = {**_WIDTHS, "num_layers": 2, "rank": 3, "num_experts": 2}
_ATTENTION = {"num_layers": 2, "num_heads": 2, "head_dim": 3}
_AFN = {**_WIDTHS, "num_neurons": 5, "epsilon": 1e-5}
CASES = {
    "lr": Case("lr", {}, "LR", _lr),
    "fm": Case("fm", {}, "FM", _fm),
    "dnn": Case("dnn", _WIDTHS, "DNN", _dnn),
    "wide_deep": Case("wide_deep", _WIDTHS, "WideDeep", _wide_deep),
    "deepfm": Case("deepfm", _WIDTHS, "DeepFM", _deepfm),
    "nfm": Case("nfm", _WIDTHS, "NFM", _nfm),
    "afm": Case("afm", {"attention_dim": 3}, "AFM", _afm),
    "hofm": Case("hofm", {"order": 3}, "HOFM", _hofm),
    "deep_crossing": Case("deep_crossing", _WIDTHS, "DeepCrossing", _deep_crossing),
    "dcn": Case("dcn", {**_WIDTHS, "num_layers": 2}, "DCN", _dcn),
    "dcn_v2": Case("dcn_v2", {**_WIDTHS, "num_layers": 2}, "DCNv2 (parallel)", _dcn_v2),
    "dcn_v2-stacked": Case("dcn_v2", {**_WIDTHS, "num_layers": 2, "structure": "stacked"}, "DCNv2 (stacked)", _dcn_v2),
    "dcn_v2_mix": Case("dcn_v2_mix", _MIX, "DCNv2 (mixture)", _dcn_v2_mix, _SHARED_GATES),
    "pnn": Case("pnn", {**_WIDTHS, "product": "inner"}, "PNN", _pnn),
    "xdeepfm": Case("xdeepfm", {**_WIDTHS, "cin_units": (4, 2)}, "xDeepFM", _xdeepfm),
    "cin": Case("cin", {"cin_units": (4, 2)}, "xDeepFM without DNN", _xdeepfm),
    "autoint": Case("autoint", _ATTENTION, "AutoInt without DNN", _autoint, _NO_RESIDUAL_MATRIX),
    "autoint_plus": Case("autoint_plus", {**_WIDTHS, **_ATTENTION}, "AutoInt", _autoint, _NO_RESIDUAL_MATRIX),
    **{
        f"fibinet-{mode}": Case(
            "fibinet", {**_WIDTHS, "bilinear_kind": mode, "reduction_ratio": 2}, f"FiBiNET ({mode})", _fibinet
        )
        for mode in ("all", "each", "interaction")
    },
    "afn": Case("afn", _AFN, "AFN without DNN", _afn),
    "afn_plus": Case("afn_plus", {**_AFN, "dnn_units": (8, 6)}, "AFN", _afn, _SUM_OF_PARTS),
    "din": Case("din", {**_WIDTHS, "attention_units": (5,)}, "DIN", _din, history=6),
    "din-softmax": Case("din", {**_WIDTHS, "attention_units": (5,), "softmax": True}, "DIN (softmax)", _din, history=6),
}
"""The models that are compared with FuxiCTR, by name."""
