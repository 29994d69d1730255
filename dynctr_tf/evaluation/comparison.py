"""Several models on the same rows, each tested against one of them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dynctr_tf.evaluation.json_records import (
    as_float,
    build,
    entry_of,
    estimates_of,
    parse_object,
    to_plain,
)
from dynctr_tf.evaluation.text_table import (
    TITLES,
    align,
    counts_text,
    metric_cells,
    metric_decimals,
    p_value,
    percent,
    signed,
    signed_range,
    undefined_lines,
)
from dynctr_tf.metrics.attainable import (
    checked_true_probability,
    gain_share,
    oracle_logits,
    refuse_impossible_labels,
)
from dynctr_tf.metrics.bootstrap import (
    Bootstrap,
    Estimate,
    Resample,
    bootstrap_metrics,
)
from dynctr_tf.metrics.calibration import CalibrationBins
from dynctr_tf.metrics.likelihood import checked_base_rate, row_log_losses
from dynctr_tf.metrics.paired import PairedTest, compare_pairs, compare_runs, estimate_of_runs, holm_adjusted
from dynctr_tf.metrics.scored_rows import (
    FloatArray,
    are_weighted,
    as_column,
    checked_rows,
    checked_weights,
    number_of_clicks,
    product_sum,
)
from dynctr_tf.nearest import unknown_name_message


@dataclasses.dataclass(frozen=True)
class ComparedModel:
    """One model of a comparison.

    Args:
        name: The model's name.
        runs: Number of training runs.
        metrics: Mean of each metric over the runs, with an interval that covers rows and, with more than one
            run, seeds.
        run_values: Each run's metrics.
        tests: For each metric the paired test against the reference; empty for the reference itself.
        adjusted_p_values: The tests' p-values by metric, adjusted by Holm's rule for the number of models
            tested against the reference; empty for the reference itself.
        share: Mean share of the attainable gain over the runs. Default `None`: the truth is not known.
    """

    name: str
    runs: int
    metrics: dict[str, Estimate]
    run_values: dict[str, list[float]]
    tests: dict[str, PairedTest]
    adjusted_p_values: dict[str, float]
    share: float | None = None


@dataclasses.dataclass(frozen=True)
class ModelPair:
    """A model and its partner.

    Args:
        model: The model's name.
        partner: The partner's.
        tests: For each metric the paired test of the model against the partner.
        adjusted_p_values: The tests' p-values by metric, adjusted by Holm's rule for the number of pairs.
    """

    model: str
    partner: str
    tests: dict[str, PairedTest]
    adjusted_p_values: dict[str, float]


@dataclasses.dataclass(frozen=True)
class ComparedPairs:
    """Models of a comparison, each tested against a partner of its own.

    Args:
        title: What the partners are, in words, such as `"FuxiCTR's"`.
        pairs: The pairs.
        mean: For each metric the test of the mean difference over the pairs, see
            `dynctr_tf.metrics.paired.compare_pairs`.
    """

    title: str
    pairs: tuple[ModelPair, ...]
    mean: dict[str, PairedTest]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Several models on the same rows, each tested against one of them. Made by `compare`.

    Args:
        reference: Name of the model that the others are tested against.
        rows: Number of rows.
        clicks: Number of rows with label 1.
        confidence: What share of such intervals hold the truth.
        replicates: Number of bootstrap resamples.
        resample: What was drawn, `"rows"` or `"groups"`.
        seed: Seed of the draws.
        models: The models, in the order in which they were given.
        click_rate: Share of clicks, by weight where rows have one. Default `None`: not known.
        weighted: Whether rows have weights. Default `False`.
        paired: Models with a partner each, in groups of pairs that belong together. Default none.
    """

    reference: str
    rows: int
    clicks: float
    confidence: float
    replicates: int
    resample: str
    seed: int
    models: tuple[ComparedModel, ...]
    click_rate: float | None = None
    weighted: bool = False
    paired: tuple[ComparedPairs, ...] = ()

    def model(self, name: str) -> ComparedModel:
        """Returns the model of this name.

        Raises:
            ValueError: There is no such model.
        """
        for entry in self.models:
            if entry.name == name:
                return entry
        raise ValueError(unknown_name_message("model", name, [entry.name for entry in self.models]))

    def to_text(self, metrics: Sequence[str] = ("auc", "log_loss")) -> str:
        """Returns a plain-text table for each metric.

        Args:
            metrics: Names of the metrics. Default `("auc", "log_loss")`.

        Raises:
            ValueError: A metric that was not measured.
        """
        level = f"{self.confidence * 100:g} %"
        rate = self.clicks / self.rows if self.click_rate is None else self.click_rate
        lines = [
            f"{counts_text(self.rows, self.clicks, rate, self.weighted)}; {level} intervals, {self.replicates:,} "
            f"bootstrap resamples of {self.resample}",
            f"difference to {self.reference} on the same rows; p adjusted by Holm's rule for "
            f"{len(self.models) - 1} {'test' if len(self.models) == 2 else 'tests'} a metric",
        ]
        shares = any(entry.share is not None for entry in self.models)
        for metric in metrics:
            if metric not in self.models[0].metrics:
                raise ValueError(unknown_name_message("metric", str(metric), self.models[0].metrics))
            title = TITLES.get(metric, metric)
            values = [entry.metrics[metric].value for entry in self.models]
            decimals = metric_decimals(metric, values)
            head = ["model", "runs", title, "interval", "difference", "interval", "p", "adjusted p"]
            table = [[*head, *(["attainable gain"] if shares else [])]]
            for entry in self.models:
                row = [entry.name, str(entry.runs), *metric_cells(metric, entry.metrics[metric], decimals)]
                if entry.name == self.reference:
                    row += ["reference", "", "", ""]
                else:
                    test = entry.tests[metric]
                    row += [*_test_cells(test, decimals), p_value(entry.adjusted_p_values[metric])]
                if shares:
                    row.append("" if entry.share is None else percent(entry.share))
                table.append(row)
            lines += ["", *align(table)]
            lines += undefined_lines({metric: self.models[0].metrics[metric]}, self.rows, self.clicks)
        for group in self.paired:
            count = f"{len(group.pairs)} {'test' if len(group.pairs) == 1 else 'tests'}"
            lines += ["", f"each model minus {group.title}; p adjusted by Holm's rule for {count} a metric"]
            for metric in metrics:
                lines += ["", *align(self._pair_table(group, metric))]
        single = [entry.name for entry in self.models if entry.runs == 1]
        if single:
            lines += [
                "",
                "one run only, so that its intervals and tests do not cover other training seeds: " + ", ".join(single),
            ]
        return "\n".join(lines) + "\n"

    def _pair_table(self, group: ComparedPairs, metric: str) -> list[list[str]]:
        title = TITLES.get(metric, metric)
        value = {entry.name: entry.metrics[metric].value for entry in self.models}
        decimals = metric_decimals(metric, list(value.values()))
        table = [["model", title, "partner", title, "difference", "interval", "p", "adjusted p"]]
        for pair in group.pairs:
            ours, others = (f"{value[name]:.{decimals}f}" for name in (pair.model, pair.partner))
            cells = _test_cells(pair.tests[metric], decimals)
            table.append([pair.model, ours, pair.partner, others, *cells, p_value(pair.adjusted_p_values[metric])])
        if len(group.pairs) > 1:
            table.append([f"mean of {len(group.pairs)}", "", "", "", *_test_cells(group.mean[metric], decimals), ""])
        return table

    def to_json(self) -> str:
        """Writes the comparison as a JSON text; what is undefined (NaN) becomes `null`."""
        return json.dumps(to_plain(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: Not JSON, or not a comparison.
        """
        plain = parse_object(text, "comparison")
        models = []
        for entry in entry_of(plain, "models", "comparison"):
            given = dict(entry)
            given["metrics"] = estimates_of(given["metrics"])
            given["run_values"] = {metric: [as_float(v) for v in vs] for metric, vs in given["run_values"].items()}
            models.append(build(ComparedModel, {**given, **_tests_of(given)}))
        paired = []
        for group in plain.get("paired", ()):
            pairs = tuple(build(ModelPair, {**pair, **_tests_of(pair)}) for pair in group["pairs"])
            mean = {metric: paired_test_of(test) for metric, test in group["mean"].items()}
            paired.append(build(ComparedPairs, {**group, "pairs": pairs, "mean": mean}))
        comparison: Comparison = build(cls, {**plain, "models": tuple(models), "paired": tuple(paired)})
        return comparison


def _test_cells(test: PairedTest, decimals: int) -> list[str]:
    interval = signed_range(test.lower, test.upper, decimals + 1)
    return [signed(test.difference, decimals + 1), interval, p_value(test.p_value)]


def _tests_of(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the tests of a model or of a pair."""
    return {
        "tests": {metric: paired_test_of(test) for metric, test in plain["tests"].items()},
        "adjusted_p_values": {metric: as_float(value) for metric, value in plain["adjusted_p_values"].items()},
    }


def compare(
    labels: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike | Sequence[npt.ArrayLike]],
    *,
    reference: str,
    pairs: Mapping[str, Mapping[str, str]] | None = None,
    weights: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    true_probability: npt.ArrayLike | None = None,
    base_rate: float | None = None,
    resample: Resample = "rows",
    replicates: int = 1000,
    confidence: float = 0.95,
    num_bins: int = 20,
    bins: CalibrationBins = "equal_mass",
    seed: int = 0,
    progress: bool = True,
) -> Comparison:
    """Compares several models, each trained with one or more seeds, on the same rows.

    Use it for the table at the end of an experiment. All runs are scored on the same resamples of the
    rows. Intervals and tests cover the rows and, where a model has more than one run, its seeds, as
    `dynctr_tf.metrics.paired_test_over_seeds` explains.

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        predictions: For each model its runs: a list or tuple of arrays of logits, or an array
            `(runs, rows)`; one array `(rows,)` or `(rows, 1)` is a single run.
        reference: The model that the others are tested against.
        pairs: Models that are also tested against a partner of their own, such as the same model of another library:
            what the partners are, in words, and for each model its partner. Holm's rule is applied within each such
            group. Default `None`: none.
        weights: How much each row counts. Default `None`: 1 each.
        groups: The group of each row; adds the grouped AUC. Default `None`: without it.
        true_probability: The probability with which each row's label was drawn; adds the share of the
            attainable gain. Default `None`: not known.
        base_rate: As in `evaluate`. Default `None`: the click rate of these rows.
        resample: `"rows"` or `"groups"`. Default `"rows"`.
        replicates: Number of resamples. Default 1000.
        confidence: What share of such intervals hold the truth. Default 0.95.
        num_bins: Number of calibration bins. Default 20.
        bins: `"equal_mass"` or `"equal_width"`. Default `"equal_mass"`.
        seed: Seed of the draws. Default 0.
        progress: As in `evaluate`. Default `True`.

    Returns:
        A `Comparison`.

    Raises:
        ValueError: As `bootstrap_metrics`, a reference or partner that is not among the models, a model without a run.

    Cost: as `bootstrap_metrics` with as many predictions as there are runs.

    Example:

    >>> labels, good = [0, 1, 1, 0] * 25, [-1.0, 1.0, 0.5, 0.0] * 25
    >>> comparison = compare(labels, {"lr": [0.0] * 100, "dynint": good}, reference="lr", replicates=100)
    >>> comparison.model("dynint").tests["auc"].difference
    0.5
    """
    if not predictions:
        raise ValueError("Give at least one model, such as {'dynint': logits}.")
    if reference not in predictions:
        raise ValueError(unknown_name_message("reference model", str(reference), predictions))
    pairs = pairs or {}
    for name in (name for of in pairs.values() for pair in of.items() for name in pair):
        if name not in predictions:
            raise ValueError(unknown_name_message("model of a pair", str(name), predictions))
    y = checked_rows(labels, np.zeros(np.asarray(labels).shape[:1])).labels
    runs: dict[str, list[str]] = {}
    flat: dict[str, FloatArray] = {}
    for model, given in predictions.items():
        runs[model] = []
        for index, logits in enumerate(model_runs(model, given, y.size)):
            run = f"{model}, run {index}"
            runs[model].append(run)
            flat[run] = as_column(logits, f"logits of {run}", y.size)

    best_loss = base_loss = math.nan
    if true_probability is not None:
        base_loss, best_loss = _base_and_best_log_loss(y, true_probability, base_rate, weights)
    result = bootstrap_metrics(
        y,
        flat,
        weights=weights,
        groups=groups,
        resample=resample,
        replicates=replicates,
        confidence=confidence,
        num_bins=num_bins,
        bins=bins,
        seed=seed,
        progress=progress,
    )
    others = [model for model in runs if model != reference]
    tests = {m: {k: compare_runs(result, runs[m], runs[reference], k) for k in result.metrics} for m in others}
    adjusted = {
        metric: dict(zip(others, holm_adjusted([tests[m][metric].p_value for m in others]), strict=True))
        for metric in result.metrics
    }
    models = []
    for model, names in runs.items():
        values = {
            metric: [float(result.values[result.position(run, metric)]) for run in names] for metric in result.metrics
        }
        models.append(
            ComparedModel(
                name=model,
                runs=len(names),
                metrics={metric: estimate_of_runs(result, names, metric) for metric in result.metrics},
                run_values=values,
                tests=tests.get(model, {}),
                adjusted_p_values={k: adjusted[k][model] for k in result.metrics} if model in tests else {},
                share=None
                if true_probability is None
                else float(gain_share(base_loss, float(np.mean(values["log_loss"])), best_loss)),
            )
        )
    weight = checked_weights(weights, y.size)
    return Comparison(
        reference,
        y.size,
        number_of_clicks(y),
        confidence,
        replicates,
        resample,
        seed,
        tuple(models),
        click_rate=product_sum(weight, y) / float(weight.sum()),
        weighted=are_weighted(weight),
        paired=tuple(_compared_pairs(result, runs, title, of) for title, of in pairs.items() if of),
    )


def _compared_pairs(
    result: Bootstrap, runs: Mapping[str, Sequence[str]], title: str, partners: Mapping[str, str]
) -> ComparedPairs:
    of_pair = {model: (runs[model], runs[partner]) for model, partner in partners.items()}
    tests = {
        model: {metric: compare_runs(result, *names, metric) for metric in result.metrics}
        for model, names in of_pair.items()
    }
    adjusted = {
        metric: dict(zip(tests, holm_adjusted([test[metric].p_value for test in tests.values()]), strict=True))
        for metric in result.metrics
    }
    pairs = tuple(
        ModelPair(model, partner, tests[model], {metric: adjusted[metric][model] for metric in result.metrics})
        for model, partner in partners.items()
    )
    means = {metric: compare_pairs(result, list(of_pair.values()), metric) for metric in result.metrics}
    return ComparedPairs(title, pairs, means)


def _base_and_best_log_loss(
    labels: FloatArray,
    true_probability: npt.ArrayLike,
    base_rate: float | None,
    weights: npt.ArrayLike | None,
) -> tuple[float, float]:
    """Returns the log loss of the base rate and that of the best possible model on these labels."""
    p = checked_true_probability(true_probability, labels.size)
    refuse_impossible_labels(labels, p)
    rows = checked_rows(labels, oracle_logits(p), weights)
    total = float(rows.weights.sum())
    rate = product_sum(rows.weights, labels) / total if base_rate is None else base_rate
    constant = np.full(labels.size, float(oracle_logits([checked_base_rate(rate)])[0]))
    return (
        product_sum(rows.weights, row_log_losses(labels, constant)) / total,
        product_sum(rows.weights, row_log_losses(labels, rows.logits)) / total,
    )


def model_runs(model: str, given: Any, rows: int) -> Sequence[npt.ArrayLike]:
    """Returns the runs of one model as a sequence of arrays."""
    if isinstance(given, (list, tuple)):
        if not given:
            raise ValueError(f"Model {model!r} has no run; give the logits of at least one seed.")
        return [given] if np.ndim(given[0]) == 0 else given
    array = np.asarray(given)
    if array.ndim == 2 and array.shape[1] == rows and array.shape != (rows, 1):
        return list(array)
    return [array]


def paired_test_of(plain: Mapping[str, Any]) -> PairedTest:
    """Reads a paired test."""
    numbers = ("difference", "lower", "upper", "standard_error", "p_value")
    test: PairedTest = build(PairedTest, {key: as_float(v) if key in numbers else v for key, v in plain.items()})
    return test
