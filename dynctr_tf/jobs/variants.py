"""The models of a comparison: what a person writes, and the settings of each."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dynctr_tf.jobs.settings import JobSettings, ModelSettings
from dynctr_tf.jobs.settings_file import parse_value
from dynctr_tf.models.catalogue import CATALOGUE, model_entry
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.tuning.search_space import space_by_path


class Variant(NamedTuple):
    """A model of the catalogue, and the options that it has in this comparison alone."""

    name: str
    model: str
    options: dict[str, Any]


def read_variant(text: str) -> Variant:
    """Reads `model`, or `name=model option=value ...`, a model under a name and with options of its own.

    Raises:
        ValueError: Another form, a name that a file cannot have, or an unknown model or option.
    """
    if not text.strip():
        raise ValueError("--models has an empty name; give models of the catalogue, such as --models lr fm.")
    head, *words = text.split()
    name, separator, model = head.partition("=")
    if not separator:
        model = name
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or (words and not separator):
        raise ValueError(f"A model is given as `model` or as `name=model option=value ...`, got {text!r}.")
    known, options = model_entry(model).defaults, {}
    for word in words:
        option, separator, value = word.partition("=")
        if not separator or option not in known:
            raise ValueError(unknown_name_message(f"option of model {model!r} (option=value)", option, known))
        options[option] = parse_value(value)
    return Variant(name, model, options)


def settings_of(settings: JobSettings, variant: Variant) -> JobSettings:
    """The settings of one model, without options that only other models have."""
    known = model_entry(variant.model).defaults
    options = {path: value for path, value in settings.model.options.items() if path in known}
    space = dict(settings.search.space)
    if isinstance(space.get("model"), Mapping):
        space["model"] = {path: value for path, value in space_by_path(space["model"], known).items() if path in known}
    return dataclasses.replace(
        settings,
        model=ModelSettings(variant.model, {**options, **variant.options}),
        search=dataclasses.replace(settings.search, space=space),
    )


def check_options_of_all(settings: JobSettings, variants: Sequence[Variant]) -> None:
    """Refuses an option of the common settings that no model of the catalogue has: it would have no effect.

    Args:
        settings: The common settings.
        variants: The models. The message names the nearest option that one of them has.

    Raises:
        ValueError: Such an option, of the models or of their search space, with the nearest one that they have.
    """
    known = {path for entry in CATALOGUE.values() for path in entry.defaults}
    space = settings.search.space.get("model")
    searched = space_by_path(space, known) if isinstance(space, Mapping) else {}
    for path in (*settings.model.options, *searched):
        if path not in known:
            own = {option for variant in variants for option in model_entry(variant.model).defaults}
            raise ValueError(unknown_name_message("option of the models", path, sorted(own)))
