"""What a table of compared models has to name: settings in which they differ, and searches that were too narrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dynctr_tf.jobs.settings import JobSettings
from dynctr_tf.models.catalogue import model_entry
from dynctr_tf.optimizers.registry import optimizer_of

_HEADING = "The models differ in more than their architecture, which their figures cannot tell apart:"
_NARROW = "Best values at the end of what was searched; values beyond may be better:"


def differences(settings: Mapping[str, JobSettings], searched: Mapping[str, int]) -> str:
    """Says in which of size, normalisation, training and search effort the models of a comparison differ.

    A difference in one of them may be the whole difference between two models. Widths of hidden layers belong to a
    model and are not compared.

    Args:
        settings: The settings that each model was trained with, by its name in the comparison.
        searched: How many hyper-parameters were searched for each of them; 0 where none was.

    Returns:
        One line for each difference, after a heading; empty where there is none.

    Example:

    >>> from dynctr_tf.jobs.settings import job_settings
    >>> small, large = job_settings({"model": {"name": "dnn", "embedding": {"dim": 4}}}), job_settings({})
    >>> print(differences({"small": small, "large": large}, {"small": 0, "large": 0}))
    The models differ in more than their architecture, which their figures cannot tell apart:
      embedding size: 4 (small), 16 (large)
    """
    lines: list[str] = []
    for what, value_of in _COMPARED.items():
        values = {name: value_of(own) for name, own in settings.items()}
        lines += _line(what, {name: value for name, value in values.items() if value is not None})
    lines += _line("searched hyper-parameters", {name: str(number) for name, number in searched.items()})
    return "\n".join([_HEADING, *lines]) if lines else ""


def narrow_searches(reached: Mapping[str, Mapping[str, str]]) -> str:
    """Says which hyper-parameters of which models were searched too narrowly to know their best value.

    Args:
        reached: What `reached_ends` said of each model's search, by the model's name in the comparison.

    Returns:
        One line for each hyper-parameter, after a heading; empty where every best value was inside its space.

    Example:

    >>> print(narrow_searches({"fm": {"rate": "0.09, the highest of 3 values (searched: 0.001 to 0.1)"}, "lr": {}}))
    Best values at the end of what was searched; values beyond may be better:
      rate: 0.09, the highest of 3 values (searched: 0.001 to 0.1) (fm)
    """
    names = dict.fromkeys(name for found in reached.values() for name in found)
    lines = [_joined(name, {model: found[name] for model, found in reached.items() if name in found}) for name in names]
    return "\n".join([_NARROW, *lines]) if lines else ""


def _line(what: str, values: Mapping[str, str]) -> list[str]:
    return [_joined(what, values)] if len(set(values.values())) > 1 else []


def _joined(what: str, values: Mapping[str, str]) -> str:
    """A line of values, each with the names that have it."""
    names: dict[str, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return f"  {what}: " + ", ".join(f"{value} ({', '.join(of)})" for value, of in names.items())


def _option(path: str) -> Callable[[JobSettings], str | None]:
    def value_of(settings: JobSettings) -> str | None:
        options = {**model_entry(settings.model.name).defaults, **settings.model.options}
        return str(options[path]) if path in options else None

    return value_of


def _normalisation(settings: JobSettings) -> str:
    options = {**model_entry(settings.model.name).defaults, **settings.model.options}
    found = [path.rpartition(".")[2] for path, value in options.items() if path.endswith("_norm") and value]
    return " and ".join(found) or "none"


def _optimizer(settings: JobSettings) -> str:
    return optimizer_of(settings.model.name, settings.optimizer.name).name


_COMPARED: Mapping[str, Callable[[JobSettings], str | None]] = {
    "embedding size": _option("embedding.dim"),
    "start of embeddings": _option("embedding.initial_scale"),
    "normalisation": _normalisation,
    "optimizer": _optimizer,
    "batch size": lambda settings: None if settings.training.batch_size is None else str(settings.training.batch_size),
}
