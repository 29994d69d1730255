"""Finds and builds the models of FuxiCTR's zoo. Needs torch, fuxictr, and the zoo's folder in FUXICTR_ZOO."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fuxictr.features import FeatureMap

from pipelines import workload


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


def build(folder: str, class_name: str, features: FeatureMap, embedding_dim: int, **arguments: Any) -> Any:
    """Builds a model of the zoo.

    Args:
        folder: Its folder in the zoo.
        class_name: Its class there.
        features: What `feature_map` gave.
        embedding_dim: Size of an embedding.
        **arguments: Of the class.
    """
    # All of them are called "src".
    for name in [name for name in sys.modules if name == "src" or name.startswith("src.")]:
        del sys.modules[name]
    sys.path[:0] = [str(zoo() / folder), str(zoo().parent)]
    try:
        model_class = getattr(importlib.import_module("src"), class_name)
    finally:
        del sys.path[:2]
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
        embedding_dim=embedding_dim,
        model_id=class_name,
        **arguments,
    )
