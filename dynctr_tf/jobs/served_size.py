"""The size of an export on the disk, and the AUC that fewer bits cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dynctr_tf.durable_files import read_json
from dynctr_tf.encoding import EncodedDataset
from dynctr_tf.export import ServedModel
from dynctr_tf.export.export_card import CARD
from dynctr_tf.figures import figures_text
from dynctr_tf.metrics import auc


def served_size(path: str | Path, data: EncodedDataset, logits: np.ndarray) -> str:
    """The bytes of a version and of its tables; where the tables have fewer bits than in training, the AUC with both.

    Args:
        path: The version.
        data: The rows.
        logits: The trained model's logits of the test split.
    """
    card = read_json(Path(path) / CARD)
    sizes, numbers = card["bytes"], card["options"].get("tables", {}).get("numbers", "float32")
    text = f"{sizes['version']:,} bytes"
    if sizes["tables"] < sizes["trained_tables"]:
        text += f"; tables of {sizes['tables']:,} bytes in {numbers}, where training has {sizes['trained_tables']:,}"
    if numbers == "float32":
        return text
    served = ServedModel(path)
    found = [
        served.answer({name: np.asarray(batch[name]) for name in served.arguments})
        for batch, *_ in data.batches("test", 8192)
    ]
    labels = np.asarray(data.column("test", "label"))
    exact, rounded = auc(labels, logits), auc(labels, np.concatenate(found))
    return f"{text}; test AUC {figures_text(rounded)} as served, {figures_text(exact)} as trained"
