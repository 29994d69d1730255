"""Data with all kinds of features, and every model of the catalogue in a size that a test can afford."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field

FEATURES = EncodedFeatures(
    fields=(
        Field("user", "user", 1, 20),
        Field("scenario_id", "scenario", 21, 5),
        Field("item", "item", 26, 10),
        Field("hour of day/UTC", "context", 36, 24),
        Field("tags", "item", 60, 9, max_values=3),
    ),
    sequences=(EncodedSequence("last items/30d", "user", 4, 26, 10, field="item"),),
    num_scenarios=5,
    num_groups=3,
)
_INTERESTS = ("din", "din_heter", "dien", "dien_heter")
SMALL: dict[str, dict[str, Any]] = {
    "lr": {},
    "fm": {"embedding.dim": 4},
    "dnn": {"embedding.dim": 4, "deep.units": (8, 4)},
    "dcn_v2": {"embedding.dim": 4, "deep.units": (8, 4), "num_layers": 2},
    **{
        name: {"embedding.dim": 4, "num_layers": 2, "num_subspaces": 2}
        for name in ("xdeepint", "dynint_da", "dynint_dgp", "dynint_dwp")
    },
    "dpn": {"embedding.dim": 4, "deep.units": (8, 4), "deep.batch_norm": True, "contexts": ("z0", "y1")},
    "field_dnn": {"embedding.dim": 4, "deep.units": (8, 4), "deep.batch_norm": True},
    "dpn_field": {"embedding.dim": 4, "deep.units": (8, 4), "deep.batch_norm": True},
    "dymlp": {"embedding.dim": 4, "deep.units": (8, 4), "deep.batch_norm": True},
    "dyjoint": {"embedding.dim": 4, "deep.units": (8, 4), "deep.batch_norm": True},
    "sdpn": {"embedding.dim": 4, "deep.units": (8, 4)},
    **{name: {"embedding.dim": 4, "deep.units": (8,), "attention_units": (4,)} for name in _INTERESTS},
    **{
        name: {"embedding.dim": 4, "deep.units": (8,)}
        for name in ("transformer", "transformer_homo", "transformer_heter", "kfatt")
    },
    "afm": {"embedding.dim": 4, "attention_dim": 3},
    "hofm": {"embedding.dim": 4},
    **{
        name: {"embedding.dim": 4, "deep.units": (8, 4)}
        for name in ("nfm", "wide_deep", "deepfm", "deep_crossing", "dcn")
    },
    "crossnet": {"embedding.dim": 4},
    "dcn_v2_mix": {"embedding.dim": 4, "deep.units": (8, 4), "rank": 3, "num_experts": 2},
    "crossmix": {"embedding.dim": 4, "rank": 3, "num_experts": 2},
    "pnn": {"embedding.dim": 4, "deep.units": (8, 4), "product": "both", "outer_kind": "kernel"},
    "pnn_both": {"embedding.dim": 4, "deep.units": (8, 4)},
    "xdeepfm": {"embedding.dim": 4, "deep.units": (8, 4), "cin_units": (3, 2)},
    "cin": {"embedding.dim": 4, "cin_units": (3, 2)},
    "autoint": {"embedding.dim": 4, "head_dim": 3},
    "autoint_plus": {"embedding.dim": 4, "head_dim": 3, "deep.units": (8, 4)},
    "fibinet": {"embedding.dim": 4, "deep.units": (8, 4)},
    "afn": {"embedding.dim": 4, "num_neurons": 5, "deep.units": (8, 4)},
    "afn_plus": {"embedding.dim": 4, "num_neurons": 5, "deep.units": (8, 4), "dnn_units": (8,)},
    **{
        f"apg_{base}": {
            "embedding.dim": 4,
            "deep.units": (8, 4),
            "adaptive.rank": 2,
            "adaptive.over_parameterisation": 3,
        }
        for base in ("wide_deep", "pnn", "fibinet", "deepfm", "dcn", "dcn_v2", "autoint", "dnn")
    },
    "optmsm": {"embedding.dim": 4, "encoder_units": (8, 4), "tower_units": (4,), "scenario_dim": 6, "code_dim": 3},
    "shared_bottom": {"embedding.dim": 4, "deep.units": (8,), "tower_units": (4,)},
    "mmoe": {"embedding.dim": 4, "num_experts": 2, "expert_units": (8, 4), "tower_units": (), "personal": ("user",)},
    "ple": {"embedding.dim": 4, "num_levels": 2, "expert_units": (8,), "tower_units": ()},
    "star": {"embedding.dim": 4, "deep.units": (8,), "auxiliary_units": (4,)},
    "can": {"embedding.dim": 4, "deep.units": (8,), "attention_units": (4,), "co_action_dim": 3, "num_orders": 2},
    "m2m": {"embedding.dim": 4, "num_experts": 2, "expert_units": (8, 4), "attention_dim": 3},
    **{
        name: {"embedding.dim": 4, "deep.units": (8, 4)}
        for name in ("pepnet", "per_scenario", "lhuc", "poso", "gatenet")
    },
    **{f"masknet_{mode}": {"embedding.dim": 4, "block_units": (8, 4)} for mode in ("serial", "parallel")},
}


def batch_of(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def ids(first: int, count: int, width: int, padded: bool = False) -> np.ndarray:
        drawn = random.integers(first, first + count, (rows, width)).astype(np.int32)
        return np.where(np.arange(width) < random.integers(0, width + 1, (rows, 1)), drawn, 0) if padded else drawn

    single = [ids(field.first_id, field.num_ids, 1) for field in FEATURES.single_valued]
    return {
        "fields": np.concatenate(single, axis=1),
        "tags": ids(60, 9, 3, padded=True).astype(np.int32),
        "last items/30d": ids(26, 10, 4, padded=True).astype(np.int32),
        "scenario": single[1][:, 0] - 21,
        "group": random.integers(0, 3, rows).astype(np.int32),
    }


def labels_of(batch: dict[str, np.ndarray]) -> np.ndarray:
    return (batch["fields"][:, 0] % 2).astype(np.float32)


def logits(model: Any, batch: dict[str, np.ndarray]) -> np.ndarray:
    return model({key: tf.constant(value) for key, value in batch.items()}, training=False).numpy()
