"""Times a FuxiCTR model on the workload. Needs torch and fuxictr, and its model zoo's folder in FUXICTR_ZOO.

`python -m pipelines.peers.fuxictr_speed MODEL NUM_IDS BATCH_SIZE STEPS` prints one line of JSON.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np
import torch

from pipelines import workload
from pipelines.peers.fuxictr_zoo import build, feature_map

_HIDDEN = list(workload.HIDDEN_UNITS)
# Model of our comparison -> folder of the zoo, class, arguments beside the ones that all take.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "lr": ("LR", "LR", {}),
    "fm": ("FM", "FM", {}),
    "dnn": ("DNN/DNN_torch", "DNN", {"hidden_units": _HIDDEN, "hidden_activations": "relu"}),
    "wide_deep": ("WideDeep/WideDeep_torch", "WideDeep", {"hidden_units": _HIDDEN}),
    "deepfm": ("DeepFM/DeepFM_torch", "DeepFM", {"hidden_units": _HIDDEN}),
    "nfm": ("NFM", "NFM", {"hidden_units": _HIDDEN}),
    "afm": ("AFM", "AFM", {"attention_dim": 8}),
    "deep_crossing": ("DeepCrossing", "DeepCrossing", {"residual_blocks": _HIDDEN}),
    "dcn": ("DCN/DCN_torch", "DCN", {"num_cross_layers": 3, "dnn_hidden_units": _HIDDEN}),
    "dcn_v2": (
        "DCNv2",
        "DCNv2",
        {"model_structure": "parallel", "num_cross_layers": 3, "parallel_dnn_hidden_units": _HIDDEN},
    ),
    "dcn_v2_mix": (
        "DCNv2",
        "DCNv2",
        {
            "model_structure": "parallel",
            "num_cross_layers": 3,
            "parallel_dnn_hidden_units": _HIDDEN,
            "use_low_rank_mixture": True,
            "low_rank": 32,
            "num_experts": 4,
        },
    ),
    "pnn": ("PNN", "PNN", {"hidden_units": _HIDDEN}),
    "xdeepfm": ("xDeepFM", "xDeepFM", {"dnn_hidden_units": _HIDDEN, "cin_hidden_units": [16, 16, 16]}),
    "autoint-plus": (
        "AutoInt",
        "AutoInt",
        {"dnn_hidden_units": _HIDDEN, "attention_layers": 2, "num_heads": 2, "attention_dim": 16},
    ),
    "fibinet": ("FiBiNET", "FiBiNET", {"hidden_units": _HIDDEN}),
    "apg-deepfm": (
        "APG",
        "APG_DeepFM",
        {
            "hidden_units": _HIDDEN,
            "hypernet_config": {},
            "condition_features": [],
            "condition_mode": "self-wise",
            "rank_k": [32] * 3,
            "overparam_p": [64] * 3,
            "generate_bias": True,
        },
    ),
    "afn-plus": (
        "AFN",
        "AFN",
        {
            "logarithmic_neurons": 64,
            "afn_hidden_units": _HIDDEN,
            "dnn_hidden_units": _HIDDEN,
            "batch_norm": False,
        },
    ),
}


def main() -> None:
    """Times training, inference and latency."""
    name, num_ids, batch_size, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    # Of the cores that this process may use: more threads than that slow each other down.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    rows = workload.make_rows(num_ids, batch_size)
    field = {"type": "categorical", "vocab_size": num_ids // workload.NUM_FIELDS}
    features = feature_map({f"f{i}": field for i in range(workload.NUM_FIELDS)}, workload.EMBEDDING_DIM)
    folder, class_name, arguments = MODELS[name]
    model = build(folder, class_name, features, workload.EMBEDDING_DIM, **arguments)

    def batch(index: int, size: int) -> dict[str, torch.Tensor]:
        start = (index % workload.NUM_BATCHES) * batch_size
        entries = {
            f"f{j}": torch.from_numpy(rows.ids[start : start + size, j].astype(np.int64))
            for j in range(workload.NUM_FIELDS)
        }
        entries["label"] = torch.from_numpy(rows.labels[start : start + size, None].copy())
        return entries

    batches = [batch(index, batch_size) for index in range(workload.NUM_BATCHES)]

    def step(entries: dict[str, torch.Tensor]) -> None:
        model.optimizer.zero_grad()
        output = model.forward(entries)
        loss = model.loss_fn(output["y_pred"], entries["label"], reduction="mean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        model.optimizer.step()

    model.train()
    for entries in batches[:2]:
        step(entries)
    start = time.perf_counter()
    for index in range(steps):
        step(batches[index % workload.NUM_BATCHES])
    train = batch_size * steps / (time.perf_counter() - start)

    model.eval()
    figures = {"train_rows_per_s": train}
    with torch.no_grad():
        model.forward(batches[0])
        start = time.perf_counter()
        for index in range(steps):
            model.forward(batches[index % workload.NUM_BATCHES])
        figures["inference_rows_per_s"] = batch_size * steps / (time.perf_counter() - start)
        for size, calls in workload.LATENCY_BATCHES:
            small = batch(0, size)
            figures[f"latency_ms_{size}"] = 1e3 * workload.latency_of(lambda small=small: model.forward(small), calls)  # type: ignore[misc]
    workload.print_figures("FuxiCTR", name, num_ids, figures)


if __name__ == "__main__":
    main()
