"""Finds and builds the models of FuxiCTR's zoo. Needs torch, fuxictr, and the zoo's folder in FUXICTR_ZOO."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fuxictr.features import FeatureMap

from pipelines.benchmarks import workload


def zoo() -> Path:
    """The folder of the zoo, `model_zoo` in a checkout of FuxiCTR; the package itself lacks most models.

    Raises:
        ValueError: FUXICTR_ZOO does not name it.
    """
    given = os.environ.get("FUXICTR_ZOO", "")
    if not (Path(given) / "DeepFM").is_dir():
        raise ValueError(
            f"FUXICTR_ZOO must name the folder model_zoo of a checkout of github.com/reczoo/FuxiCTR, got {given!r}."
        )
    return Path(given)


def feature_map(fields: Mapping[str, dict[str, Any]], embedding_dim: int) -> FeatureMap:
    """Describes features to FuxiCTR.

    Args:
        fields: Name -> `type`, `vocab_size` and what else FuxiCTR knows of a feature.
        embedding_dim: Size of an embedding.
    """
    features = FeatureMap("synthetic", tempfile.gettempdir())
    features.features = OrderedDict((name, {"padding_idx": 0, "source": "", **field}) for name, field in fields.items())
    features.labels, features.num_fields, features.default_emb_dim = ["label"], len(fields), embedding_dim
    features.total_features, features.input_length = sum(f["vocab_size"] for f in fields.values()), len(fields)
    features.set_column_index()
    return features


def zoo_model(name: str, hidden_units: Sequence[int]) -> tuple[str, str, dict[str, Any]]:
    """FuxiCTR's names for a model of our catalogue: its folder in the zoo, its class, its arguments.

    Args:
        name: Our name of the model.
        hidden_units: Widths of its multilayer perceptron, if it has one.

    Raises:
        KeyError: FuxiCTR has no such model, or no comparison knows it.
    """
    hidden = list(hidden_units)
    models: dict[str, tuple[str, str, dict[str, Any]]] = {
        "lr": ("LR", "LR", {}),
        "fm": ("FM", "FM", {}),
        "dnn": ("DNN/DNN_torch", "DNN", {"hidden_units": hidden, "hidden_activations": "relu"}),
        "wide_deep": ("WideDeep/WideDeep_torch", "WideDeep", {"hidden_units": hidden}),
        "deepfm": ("DeepFM/DeepFM_torch", "DeepFM", {"hidden_units": hidden}),
        "nfm": ("NFM", "NFM", {"hidden_units": hidden}),
        "afm": ("AFM", "AFM", {"attention_dim": 8}),
        "deep_crossing": ("DeepCrossing", "DeepCrossing", {"residual_blocks": hidden}),
        "dcn": ("DCN/DCN_torch", "DCN", {"num_cross_layers": 3, "dnn_hidden_units": hidden}),
        "dcn_v2": (
            "DCNv2",
            "DCNv2",
            {"model_structure": "parallel", "num_cross_layers": 3, "parallel_dnn_hidden_units": hidden},
        ),
        "dcn_v2_mix": (
            "DCNv2",
            "DCNv2",
            {
                "model_structure": "parallel",
                "num_cross_layers": 3,
                "parallel_dnn_hidden_units": hidden,
                "use_low_rank_mixture": True,
                "low_rank": 32,
                "num_experts": 4,
            },
        ),
        "pnn": ("PNN", "PNN", {"hidden_units": hidden}),
        "xdeepfm": ("xDeepFM", "xDeepFM", {"dnn_hidden_units": hidden, "cin_hidden_units": [16, 16, 16]}),
        "autoint_plus": (
            "AutoInt",
            "AutoInt",
            {"dnn_hidden_units": hidden, "attention_layers": 2, "num_heads": 2, "attention_dim": 16},
        ),
        "fibinet": ("FiBiNET", "FiBiNET", {"hidden_units": hidden}),
        "apg_deepfm": (
            "APG",
            "APG_DeepFM",
            {
                "hidden_units": hidden,
                "hypernet_config": {},
                "condition_features": [],
                "condition_mode": "self-wise",
                "rank_k": [32] * len(hidden),
                "overparam_p": [64] * len(hidden),
                "generate_bias": True,
            },
        ),
        "afn_plus": (
            "AFN",
            "AFN",
            {
                "logarithmic_neurons": 64,
                "afn_hidden_units": hidden,
                "dnn_hidden_units": hidden,
                "batch_norm": False,
            },
        ),
    }
    return models[name]


def model_class(folder: str, class_name: str) -> Any:
    """A class of the zoo.

    Args:
        folder: Its folder in the zoo.
        class_name: Its name there.
    """
    # All of them are called "src".
    for name in [name for name in sys.modules if name == "src" or name.startswith("src.")]:
        del sys.modules[name]
    sys.path[:0] = [str(zoo() / folder), str(zoo().parent)]
    try:
        return getattr(importlib.import_module("src"), class_name)
    finally:
        del sys.path[:2]


def build(folder: str, class_name: str, features: FeatureMap, embedding_dim: int, **arguments: Any) -> Any:
    """Builds a model of the zoo.

    Args:
        folder: Its folder in the zoo.
        class_name: Its class there.
        features: What `feature_map` gave.
        embedding_dim: Size of an embedding.
        **arguments: Of the class, and of FuxiCTR's base class.
    """
    model = model_class(folder, class_name)(
        features,
        gpu=-1,
        metrics=["AUC"],
        verbose=0,
        model_root=tempfile.gettempdir(),
        optimizer="adam",
        loss="binary_crossentropy",
        task="binary_classification",
        embedding_dim=embedding_dim,
        model_id=class_name,
        **{"learning_rate": workload.LEARNING_RATE, **arguments},
    )
    model._max_gradient_norm = 10.0  # what its own `fit` sets by default
    return model
