"""The catalogue of models: name, function, paper, defaults, optimizer and search space of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.discovery import all_entries, by_name
from dynctr_tf.models.entry import Choice, LogUniform, ModelEntry, SearchSpace, Uniform
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.options import option_paths

__all__ = [
    "CATALOGUE",
    "Choice",
    "LogUniform",
    "ModelEntry",
    "SearchSpace",
    "Uniform",
    "build_model",
    "describe_models",
    "model_entry",
]

CATALOGUE: Mapping[str, ModelEntry] = MappingProxyType(by_name(all_entries()))
"""All models, by name."""


def model_entry(name: str) -> ModelEntry:
    """Returns the entry of a model in the catalogue.

    Args:
        name: Its name.

    Raises:
        ValueError: There is no model of this name; the message names the nearest.

    Example:

    >>> model_entry("dynint_dgp").optimizer
    'row_wise_adagrad'
    """
    if name not in CATALOGUE:
        raise ValueError(unknown_name_message("model", str(name), CATALOGUE))
    return CATALOGUE[name]


def build_model(name: str, features: EncodedFeatures, **options: Any) -> Any:
    """Builds a model of the catalogue.

    Use it where the name comes from a configuration; in code, call the model's function.

    Args:
        name: Its name in the catalogue.
        features: The description that the encoder gives.
        **options: Its options, by path or part: `**{"embedding.dim": 8}` or `embedding=Embedding(8)`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`, not compiled.

    Raises:
        ValueError: An unknown name or option, with the nearest known one, or a value that is refused.

    Example:

    >>> build_model("fm", EncodedFeatures.from_sizes([10, 20]), **{"embedding.dim": 4}).output_shape
    (None, 1)
    """
    return model_entry(name).build(features, **options)


def describe_models() -> str:
    """Describes all models of the catalogue for a person: title, paper, optimizer, and options with types and defaults.

    Example:

    >>> print("\\n".join(describe_models().splitlines()[:3]))
    afm
      Attentional Factorization Machines: Learning the Weight of Feature Interactions via Attention Networks
      paper: arXiv 1708.04617
    """
    return "\n\n".join(_described(entry) for entry in CATALOGUE.values())


def _described_choice(choice: Choice | LogUniform | Uniform) -> str:
    if isinstance(choice, Choice):
        return ", ".join(map(repr, choice.values))
    scale = "on a logarithmic scale" if isinstance(choice, LogUniform) else "uniformly"
    return f"{choice.low:g} to {choice.high:g}, {scale}"


def _described(entry: ModelEntry) -> str:
    lines = [entry.name, f"  {entry.title}", f"  paper: {entry.paper}"]
    if entry.equation != "none":
        lines.append(f"  equations: {entry.equation}")
    lines.append(f"  optimizer: {entry.optimizer}")
    if entry.cost:
        lines.append(f"  cost: {entry.cost}")
    if entry.fixed:
        lines.append("  stands for: " + ", ".join(f"{name}={value!r}" for name, value in entry.fixed.items()))
    # The modules of the models have postponed annotations, so these are texts.
    known = option_paths(entry.function)
    options = [(path, str(known[path].annotation), repr(value)) for path, value in entry.defaults.items()]
    if options:
        lines.append("  options:")
        widths = [max(len(row[column]) for row in options) for column in range(2)]
        lines += [f"    {name:{widths[0]}}  {kind:{widths[1]}}  default {value}" for name, kind, value in options]
    if entry.search_space:
        lines.append("  search space:")
        lines += [f"    {name}: {_described_choice(choice)}" for name, choice in entry.search_space.items()]
    return "\n".join(lines)
