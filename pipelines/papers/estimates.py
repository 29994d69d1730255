"""Estimates of the time and memory of a table, from measured rates."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynctr_tf.jobs.settings_file import read_file
from pipelines.papers.descriptions import Item, Paper
from pipelines.papers.experiment import Rows, Settings

RATES = Path(__file__).with_name("rates.toml")
"""Rows a second of each model's training, as measured."""

_TRAIN_SHARE, _TEST_SHARE = 0.7, 0.2
# Measured bytes that `compare` holds for one row and run: logits, their order, labels and losses.
_BYTES_OF_A_SCORED_ROW = 64.0
_PROCESS_MIB = 900.0
# Of the rows on which the rates were measured.
_FIELDS = 39


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The time and memory of a table.

    Args:
        trainings: How many trainings there are, those of the search included.
        hours: How long they take one after the other on the machine of the rates.
        gibibytes: What the largest training needs, or the comparison of all runs on the test rows where that is more.
    """

    trainings: int
    hours: float
    gibibytes: float


def estimate(item: Item, paper: Paper, *, sample: bool) -> Estimate:
    """Computes the time and memory of a table.

    Args:
        item: The table, of a kind that trains.
        paper: The paper.
        sample: Whether it runs on samples, without search; else on the whole data sets with the paper's search.
    """
    from dynctr_tf.optimizers.registry import optimizer_of
    from pipelines.papers.run import trials_of

    settings = Settings.read(item.paper, sample=sample)
    given = read_file(RATES)
    samples, start = given["sample_rows"], given["seconds_beside_steps"]["training"]
    trainings, seconds, most = 0, 0.0, 0.0
    members = {system.name: len(system.members) for system in item.systems}
    of_means = sum(members[name] for system in item.systems for name in system.mean_of)
    runs = settings.seeds * (sum(members.values()) + of_means)
    for name in item.data:
        total = samples.get(f"{item.paper}/{name}", samples["made"]) if sample else paper.data[name].rows
        rows = Rows(name, {key: value for key, value in settings.data[name].items() if key != "sample"}, "", not sample)
        most = max(most, runs * _TEST_SHARE * total * _BYTES_OF_A_SCORED_ROW / 2**30)
        for system in item.systems:
            for model in system.members.values():
                own = settings.of_system(item, system, model, rows)
                number = settings.seeds + (0 if sample else trials_of(own, None))
                trainings += number
                steps = own.training.epochs * _TRAIN_SHARE * total / rate_of(given, model, paper.data[name].fields)
                seconds += number * (start + steps)
                dim = own.model.options.get("embedding.dim", 1)
                slots = optimizer_of(model, own.optimizer.name).slots
                ids = paper.data[name].ids * min(1.0, total / paper.data[name].rows)
                most = max(most, ids * dim * 4.0 * (1 + slots) / 2**30)
    return Estimate(trainings, seconds / 3600.0, most + _PROCESS_MIB / 1024.0)


def rate_of(given: Mapping[str, Any], model: str, fields: int) -> float:
    """Computes the rows a second that a model trains.

    Args:
        given: What the file of rates has.
        model: The model.
        fields: Of the rows. Rates that were measured on rows of 39 fields are scaled to it, up to the largest of them.
    """
    if model in given["rows_per_second_on_their_data"]:
        return float(given["rows_per_second_on_their_data"][model])
    rates = given["rows_per_second"]
    rate = rates.get(model, statistics.median(rates.values()))
    return float(min(rate * _FIELDS / fields, max(rates.values())))


def duration(hours: float) -> str:
    """Writes a duration in a suitable unit.

    Example:

    >>> duration(0.2), duration(30.0), duration(2000.0)
    ('12 min', '30 h', '83 days')
    """
    if hours < 1.5:
        return f"{max(1, round(60 * hours))} min"
    return f"{hours:.0f} h" if hours < 60 else f"{hours / 24:,.0f} days"
