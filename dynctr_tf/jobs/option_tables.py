"""The options that data sets, models and optimizers take in the tables of a settings file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from dynctr_tf.jobs.settings import DataSettings, OptimizerSettings


def rate_schedule(settings: OptimizerSettings, steps: int | None) -> Any:
    """The factor on all learning rates that the settings ask for; `None` where the rates stay as they are.

    Args:
        settings: The settings of the optimizer.
        steps: The steps of the whole training; `None` where they are not known.

    Raises:
        ValueError: A schedule that lacks a setting it needs, or such a setting without a schedule.
    """
    from dynctr_tf.optimizers.rate_schedule import RateSchedule

    kind, warmup, decay_steps = settings.schedule, settings.warmup_steps, settings.decay_steps
    if kind == "constant" and not (decay_steps is None and settings.decay_end is None):
        raise ValueError("optimizer.decay_steps and optimizer.decay_end need optimizer.schedule cosine or step.")
    if kind == "constant" and not warmup:
        return None
    if decay_steps is None and kind == "cosine" and steps is not None:
        decay_steps = max(steps - warmup, 1)
    return RateSchedule(1.0, kind, warmup, decay_steps, settings.decay_end)


def table_options(data: str, model: str, optimizer: str) -> Mapping[str, list[str]]:
    """The options of each table for the names of a data set, a model and an optimizer; all for an unknown name.

    It imports TensorFlow, so it is for messages, when one has to be written.
    """
    from dynctr_tf.datasets.registry import ROW_SOURCES, row_source_options
    from dynctr_tf.models.catalogue import CATALOGUE
    from dynctr_tf.optimizers.registry import optimizer_of

    own = {field.name for field in dataclasses.fields(DataSettings)}
    sources = [data] if data in ROW_SOURCES else ROW_SOURCES
    entries = [CATALOGUE[model]] if model in CATALOGUE else list(CATALOGUE.values())
    optimizers = [optimizer_of(entry.name, optimizer) for entry in entries]
    return {
        "data.options": sorted({name for source in sources for name in row_source_options(source) if name not in own}),
        "model": sorted({name for entry in entries for name in entry.defaults}),
        "optimizer.options": sorted({name for entry in optimizers for name in entry.options}),
    }
