"""One function per published model, the parts that they are composed of, and their catalogue."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dynctr_tf.models.adaptive import make_adaptive
from dynctr_tf.models.catalogue import CATALOGUE, Choice, LogUniform, ModelEntry, Uniform, build_model, model_entry
from dynctr_tf.models.discovery import ROOMS, functions_of
from dynctr_tf.models.parts import (
    Adaptive,
    Condition,
    Deep,
    Embedding,
    Generator,
    Hidden,
    History,
    Operation,
    Tower,
    encoded_inputs,
)

# The functions of the models are those of the rooms, `deepfm` of `static/deepfm.py` and so on.
_FUNCTIONS: dict[str, Any] = {}
for _room in ROOMS:
    _package = importlib.import_module(f"dynctr_tf.models.{_room}")
    _FUNCTIONS.update(functions_of(_package.__name__, _package.__path__))
globals().update(_FUNCTIONS)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


__all__ = [
    "Adaptive",
    "CATALOGUE",
    "Choice",
    "Condition",
    "Deep",
    "Embedding",
    "Generator",
    "Hidden",
    "History",
    "LogUniform",
    "ModelEntry",
    "Operation",
    "Tower",
    "Uniform",
    "build_model",
    "encoded_inputs",
    "make_adaptive",
    "model_entry",
    *_FUNCTIONS,
]
