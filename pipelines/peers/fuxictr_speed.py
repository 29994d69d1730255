"""Times a FuxiCTR model on the workload. Needs torch and fuxictr, and its model zoo's folder in FUXICTR_ZOO.

`python -m pipelines.peers.fuxictr_speed MODEL NUM_IDS BATCH_SIZE STEPS` prints one line of JSON.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import torch

from pipelines.benchmarks import workload
from pipelines.peers.fuxictr_zoo import build, feature_map, zoo_model

# FuxiCTR's mixture of experts drops the axis of a batch of one row, and fails.
_NOT_ONE_ROW = ("dcn_v2_mix",)


def main() -> None:
    """Times training, inference and latency."""
    name, num_ids, batch_size, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    # As many threads as this process has cores: more would slow each other down.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    rows = workload.make_rows(num_ids, batch_size)
    field = {"type": "categorical", "vocab_size": num_ids // workload.NUM_FIELDS}
    features = feature_map({f"f{i}": field for i in range(workload.NUM_FIELDS)}, workload.EMBEDDING_DIM)
    folder, class_name, arguments = zoo_model(name, workload.HIDDEN_UNITS)
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

    model.train()
    for entries in batches[:2]:
        model.train_step(entries)
    start = time.perf_counter()
    for index in range(steps):
        model.train_step(batches[index % workload.NUM_BATCHES])
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
            if size == 1 and name in _NOT_ONE_ROW:
                continue
            small = batch(0, size)
            figures[f"latency_ms_{size}"] = 1e3 * workload.latency_of(lambda small=small: model.forward(small), calls)  # type: ignore[misc]
    workload.print_figures("FuxiCTR", name, num_ids, figures)


if __name__ == "__main__":
    main()
