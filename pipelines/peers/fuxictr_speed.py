"""Times a FuxiCTR model on the workload. Needs torch and fuxictr, and its model zoo's folder in FUXICTR_ZOO.

`python -m pipelines.peers.fuxictr_speed MODEL NUM_IDS BATCH_SIZE STEPS` prints one line of JSON.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuxictr.features import FeatureMap

from pipelines import workload

# Model of our catalogue -> folder of the zoo, class, arguments beside the ones that all take.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dnn": ("DNN/DNN_torch", "DNN", {"hidden_units": list(workload.HIDDEN_UNITS), "hidden_activations": "relu"}),
    "deepfm": ("DeepFM/DeepFM_torch", "DeepFM", {"hidden_units": list(workload.HIDDEN_UNITS)}),
    "dcn_v2": (
        "DCNv2",
        "DCNv2",
        {
            "model_structure": "parallel",
            "num_cross_layers": 3,
            "parallel_dnn_hidden_units": list(workload.HIDDEN_UNITS),
        },
    ),
}


def build(name: str, num_ids: int) -> torch.nn.Module:
    """Builds a model of the zoo for the workload's fields."""
    features = FeatureMap("synthetic", tempfile.gettempdir())
    size = num_ids // workload.NUM_FIELDS
    features.features = OrderedDict(
        (f"f{i}", {"type": "categorical", "vocab_size": size, "padding_idx": 0, "source": ""})
        for i in range(workload.NUM_FIELDS)
    )
    features.labels, features.num_fields = ["label"], workload.NUM_FIELDS
    features.default_emb_dim = workload.EMBEDDING_DIM
    features.total_features, features.input_length = num_ids, workload.NUM_FIELDS
    features.set_column_index()
    folder, class_name, arguments = MODELS[name]
    sys.path[:0] = [str(Path(os.environ["FUXICTR_ZOO"]) / folder), str(Path(os.environ["FUXICTR_ZOO"]).parent)]
    model_class = getattr(importlib.import_module("src"), class_name)
    return model_class(
        features,
        gpu=-1,
        metrics=["AUC"],
        verbose=0,
        model_root=tempfile.gettempdir(),
        learning_rate=workload.LEARNING_RATE,
        optimizer="adam",
        loss="binary_crossentropy",
        task="binary_classification",
        embedding_dim=workload.EMBEDDING_DIM,
        embedding_regularizer=None,
        net_regularizer=None,
        model_id=name,
        **arguments,
    )


def main() -> None:
    """Times training, inference and latency."""
    name, num_ids, batch_size, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    rows = workload.make_rows(num_ids, batch_size)
    model = build(name, num_ids)

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
            small, seconds = batch(0, size), []
            for _ in range(calls):
                start = time.perf_counter()
                model.forward(small)
                seconds.append(time.perf_counter() - start)
            figures[f"latency_ms_{size}"] = 1e3 * float(np.median(seconds[10:]))
    workload.print_figures("FuxiCTR", name, num_ids, **figures)


if __name__ == "__main__":
    main()
