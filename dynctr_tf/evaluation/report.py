"""What a model reaches on labelled rows: metrics with intervals, beside the best that is possible."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from dynctr_tf.durable_files import write_text
from dynctr_tf.evaluation.json_records import (
    as_float,
    build,
    entry_of,
    estimate_of,
    estimates_of,
    parse_object,
    to_plain,
)
from dynctr_tf.evaluation.text_table import (
    TITLES,
    align,
    counts_text,
    metric_cells,
    metric_text,
    number,
    percent,
    percent_range,
    undefined_lines,
)
from dynctr_tf.figures import figures_text, share_text
from dynctr_tf.metrics.attainable import (
    checked_true_probability,
    expected_auc,
    expected_log_loss,
    gain_share,
    oracle_logits,
    refuse_impossible_labels,
    row_entropies,
    row_expected_log_losses,
)
from dynctr_tf.metrics.bootstrap import (
    Bootstrap,
    Estimate,
    Resample,
    bootstrap_metrics,
    percentile_interval,
)
from dynctr_tf.metrics.calibration import (
    CalibrationBins,
    LogitHistogram,
    ReliabilityCurve,
    logit_histogram,
    reliability_curve,
)
from dynctr_tf.metrics.likelihood import checked_base_rate, row_log_losses
from dynctr_tf.metrics.ranking import grouped_auc
from dynctr_tf.metrics.scored_rows import FloatArray, are_weighted, checked_rows, number_of_clicks, product_sum

MODEL = "model"
ORACLE = "oracle"


@dataclasses.dataclass(frozen=True)
class Attainable:
    """What the best possible model and the base rate reach on the same rows.

    Args:
        metrics: The best possible model's metrics, on the same labels and resamples.
        base_rate: The click rate that the constant model answers.
        base_log_loss: Its log loss.
        share: Share of the gain in log loss over the base rate that the model has reached.
        expected_log_loss: The best possible log loss, averaged over the labels that the rows might have had.
        expected_auc: Likewise the best possible AUC.
        expected_model_log_loss: Likewise the model's log loss.
        expected_model_auc: Likewise the model's AUC.
        expected_share: The share from log losses averaged over the labels: the same quantity without the
            labels' noise.
    """

    metrics: dict[str, Estimate]
    base_rate: float
    base_log_loss: Estimate
    share: Estimate
    expected_log_loss: float
    expected_auc: float
    expected_model_log_loss: float
    expected_model_auc: float
    expected_share: Estimate


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One model's metrics on labelled rows, with intervals. Made by `evaluate`.

    Args:
        name: The model's name.
        rows: Number of rows.
        clicks: Number of rows with label 1, each row counted once.
        click_rate: Share of clicks, by weight where rows have one.
        confidence: What share of the resamples an interval holds.
        replicates: Number of bootstrap resamples.
        resample: What was drawn, `"rows"` or `"groups"`.
        seed: Seed of the draws.
        metrics: For each metric its value and interval.
        calibration_error_floor: The calibration error that the predictions would show if they were true.
        calibration: The reliability curve.
        histogram: How the predictions of clicks and other rows are spread.
        groups: Number of groups. Default `None`: rows without groups.
        groups_used: How many of them have both classes. Default `None`.
        share_left_out: Share of the impressions that the grouped AUC does not cover. Default `None`.
        attainable: The best possible. Default `None`: the true probabilities are not known.
        scenarios: One evaluation per scenario, the largest first. Default none.
        weighted: Whether rows have weights. Default `False`.
    """

    name: str
    rows: int
    clicks: float
    click_rate: float
    confidence: float
    replicates: int
    resample: str
    seed: int
    metrics: dict[str, Estimate]
    calibration_error_floor: float
    calibration: ReliabilityCurve
    histogram: LogitHistogram
    groups: int | None = None
    groups_used: int | None = None
    share_left_out: float | None = None
    attainable: Attainable | None = None
    scenarios: tuple[Evaluation, ...] = ()
    weighted: bool = False

    def to_text(self, max_scenarios: int = 20) -> str:
        """Returns a plain-text report.

        Args:
            max_scenarios: How many scenarios are listed, the largest first. Default 20.
        """
        lines = [
            f"{self.name}: {counts_text(self.rows, self.clicks, self.click_rate, self.weighted)}; "
            f"{self.confidence * 100:g} % intervals, {self.replicates:,} bootstrap resamples of {self.resample}",
            "",
        ]
        best = self.attainable
        table = [["", "model", "interval", *(["best possible", "interval"] if best else [])]]
        for metric, estimate in self.metrics.items():
            row = [TITLES.get(metric, metric), *metric_cells(metric, estimate)]
            table.append([*row, *(metric_cells(metric, best.metrics[metric]) if best else [])])
        if best:
            share = [percent(best.share.value), percent_range(best.share)]
            table.append(["share of attainable gain", *share, "100.0 %", ""])
        lines += align(table)
        lines += ["", *undefined_lines(self.metrics, self.rows, self.clicks)]
        if not math.isnan(self.calibration_error_floor):
            floor = metric_text("expected_calibration_error", self.calibration_error_floor)
            lines.append(f"calibration error of true predictions on as many rows: {floor}")
        if self.groups is not None and self.groups_used is not None and self.share_left_out is not None:
            lines.append(
                f"grouped AUC over {self.groups_used:,} of {self.groups:,} groups; {percent(self.share_left_out)} "
                f"of the rows left out, because their group has only one class"
            )
        if best:
            base = best.base_log_loss
            lines += [
                f"base rate {figures_text(best.base_rate)}: log loss {' '.join(metric_cells('log_loss', base))}",
                f"averaged over labels: log loss {figures_text(best.expected_model_log_loss)} (best "
                f"{figures_text(best.expected_log_loss)}), AUC {number(best.expected_model_auc)} (best "
                f"{number(best.expected_auc)}), share of attainable gain {percent(best.expected_share.value)} "
                f"{percent_range(best.expected_share)}",
            ]
        if self.scenarios:
            lines += ["", *align(self._scenario_table(max_scenarios))]
            hidden = len(self.scenarios) - max_scenarios
            if hidden > 0:
                lines.append(f"... and {hidden} smaller scenarios")
        return "\n".join(lines) + "\n"

    def _scenario_table(self, max_scenarios: int) -> list[list[str]]:
        shown = ("auc", "log_loss", "calibration_ratio")
        header = ["scenario", "rows", "click rate by weight" if self.weighted else "click rate"]
        for metric in shown:
            header += [TITLES[metric], "interval"]
        table = [[*header, *(["attainable gain", "interval"] if self.attainable else [])]]
        for entry in self.scenarios[:max_scenarios]:
            row = [entry.name, f"{entry.rows:,}", share_text(entry.click_rate)]
            for metric in shown:
                row += metric_cells(metric, entry.metrics[metric])
            if entry.attainable:
                row += [percent(entry.attainable.share.value), percent_range(entry.attainable.share)]
            table.append(row)
        return table

    def to_json(self) -> str:
        """Writes the evaluation as a JSON text; what is undefined (NaN) becomes `null`."""
        return json.dumps(to_plain(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: Not JSON, or not an evaluation.
        """
        return _evaluation(parse_object(text, "evaluation"))

    def save(self, path: str | Path) -> None:
        """Writes the evaluation to a JSON file."""
        write_text(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """Reads an evaluation from a JSON file.

        Raises:
            ValueError: As `from_json`, with the file's name.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def evaluate(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    *,
    name: str = "model",
    weights: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    scenario: npt.ArrayLike | None = None,
    scenario_names: Mapping[int, str] | Sequence[str] | None = None,
    true_probability: npt.ArrayLike | None = None,
    base_rate: float | None = None,
    resample: Resample = "rows",
    replicates: int = 1000,
    confidence: float = 0.95,
    num_bins: int = 20,
    bins: CalibrationBins = "equal_mass",
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Measures one model on labelled rows.

    Use it on `model.predict(test)` after training. Where the rows' true click probabilities are known,
    as in synthetic data, the best possible model is scored on the same labels and resamples, and the
    report says which share of the attainable gain in log loss over the base rate the model has reached.

    `share = (base - model) / (base - best)` in log loss

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        logits: Log-odds of a click, of the same shape.
        name: The model's name in the report. Default `"model"`.
        weights: How much each row counts. Default `None`: 1 each.
        groups: The group of each row, such as its user; adds the grouped AUC. Default `None`: without it.
        scenario: The scenario of each row; adds one evaluation per scenario. Default `None`: without them.
        scenario_names: Names of the scenarios, where `scenario` holds indices. Default `None`: the values
            themselves.
        true_probability: The probability with which each row's label was drawn. Default `None`: not known.
        base_rate: The click rate of the training rows, with which the constant model answers. Default
            `None`: that of these rows.
        resample: `"rows"` or `"groups"`, as in `dynctr_tf.metrics.bootstrap_metrics`. Default `"rows"`.
        replicates: Number of resamples. Default 1000.
        confidence: What share of the resamples an interval holds. Default 0.95.
        num_bins: Number of calibration bins. Default 20.
        bins: `"equal_mass"` or `"equal_width"`. Default `"equal_mass"`.
        seed: Seed of the draws. Default 0.
        progress: Whether a progress bar is shown on a terminal when it takes over two seconds.
            Default `True`.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: Shapes that differ, labels that are not 0 or 1, logits that are not finite, true
            probabilities outside [0, 1] or that contradict a label, a scenario without a name, or as
            `bootstrap_metrics`.

    Cost: as `bootstrap_metrics` for one prediction, for two where the true probabilities are known; as
        much again for scenarios. About 2 s per prediction for 50 000 rows and 1000 replicates.

    Example:

    >>> evaluation = evaluate([0, 1, 1, 0] * 25, [-1.0, 1.0, -0.5, 0.0] * 25, replicates=100)
    >>> evaluation.metrics["auc"].value
    0.75
    >>> Evaluation.from_json(evaluation.to_json()).to_text() == evaluation.to_text()
    True
    """
    rows = checked_rows(labels, logits, weights)
    y, weight = rows.labels, rows.weights
    click_rate = product_sum(weight, y) / float(weight.sum())
    predictions: dict[str, npt.ArrayLike] = {MODEL: rows.logits}
    row_values: dict[str, npt.ArrayLike] = {}
    p: FloatArray | None = None
    if true_probability is not None:
        p = checked_true_probability(true_probability, y.size)
        refuse_impossible_labels(y, p)
        rate = click_rate if base_rate is None else base_rate
        base_logit = float(oracle_logits([checked_base_rate(rate)])[0])
        constant = np.full(y.size, base_logit)
        predictions[ORACLE] = oracle_logits(p)
        row_values = {
            "base": row_log_losses(y, constant),
            "expected base": row_expected_log_losses(p, constant),
            "expected model": row_expected_log_losses(p, rows.logits),
            "expected best": row_entropies(p),
        }
    result = bootstrap_metrics(
        y,
        predictions,
        weights=weight,
        groups=groups,
        resample=resample,
        replicates=replicates,
        confidence=confidence,
        num_bins=num_bins,
        bins=bins,
        row_values=row_values,
        seed=seed,
        progress=progress,
    )
    in_groups = None if groups is None else grouped_auc(y, rows.logits, groups, weight)
    evaluation = Evaluation(
        name=name,
        rows=y.size,
        clicks=number_of_clicks(y),
        click_rate=click_rate,
        weighted=are_weighted(weight),
        confidence=confidence,
        replicates=replicates,
        resample=resample,
        seed=seed,
        metrics={metric: result.estimate(MODEL, metric) for metric in result.metrics},
        calibration_error_floor=result.error_of_true[0][0],
        calibration=reliability_curve(
            y,
            rows.logits,
            weight,
            num_bins=num_bins,
            bins=bins,
            z=NormalDist().inv_cdf(0.5 + confidence / 2.0),
        ),
        histogram=logit_histogram(y, rows.logits, weight),
        groups=in_groups.groups if in_groups else None,
        groups_used=in_groups.groups_used if in_groups else None,
        share_left_out=in_groups.share_left_out if in_groups else None,
        attainable=None if p is None else _attainable(result, rate, p, rows.logits, weight),
    )
    if scenario is None:
        return evaluation

    parts = []
    for label, chosen in rows_by_scenario(scenario, scenario_names, y.size):
        part = evaluate(
            y[chosen],
            rows.logits[chosen],
            name=label,
            weights=weight[chosen],
            true_probability=None if p is None else p[chosen],
            base_rate=base_rate if base_rate is not None or p is None else click_rate,
            groups=None if groups is None else np.asarray(groups).reshape(-1)[chosen],
            resample=resample,
            replicates=replicates,
            confidence=confidence,
            num_bins=num_bins,
            bins=bins,
            seed=seed,
            progress=progress,
        )
        parts.append(part)
    parts.sort(key=lambda part: (-part.rows, part.name))
    return dataclasses.replace(evaluation, scenarios=tuple(parts))


def _attainable(
    result: Bootstrap, base_rate: float, p: FloatArray, logits: FloatArray, weights: FloatArray
) -> Attainable:
    (model, loss), (oracle, _) = result.position(MODEL, "log_loss"), result.position(ORACLE, "log_loss")
    means, samples = result.row_means, result.row_mean_samples

    def estimate(value: float, of_samples: FloatArray) -> Estimate:
        return Estimate(value, *percentile_interval(of_samples, result.confidence))

    return Attainable(
        metrics={metric: result.estimate(ORACLE, metric) for metric in result.metrics},
        base_rate=base_rate,
        base_log_loss=estimate(means["base"], samples["base"]),
        share=estimate(
            float(gain_share(means["base"], result.values[model, loss], result.values[oracle, loss])),
            gain_share(samples["base"], result.samples[:, model, loss], result.samples[:, oracle, loss]),
        ),
        expected_log_loss=expected_log_loss(p, weights=weights),
        expected_auc=expected_auc(p, weights=weights),
        expected_model_log_loss=expected_log_loss(p, logits, weights),
        expected_model_auc=expected_auc(p, logits, weights),
        expected_share=estimate(
            float(gain_share(means["expected base"], means["expected model"], means["expected best"])),
            gain_share(samples["expected base"], samples["expected model"], samples["expected best"]),
        ),
    )


def rows_by_scenario(
    scenario: npt.ArrayLike, names: Mapping[int, str] | Sequence[str] | None, rows: int
) -> Iterable[tuple[str, npt.NDArray[np.int64]]]:
    """Yields each scenario's name and the indices of its rows."""
    column = np.asarray(scenario)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.shape != (rows,):
        raise ValueError(f"scenario must have the shape ({rows},), one scenario a row, got {column.shape}.")
    values, index = np.unique(column, return_inverse=True)
    order = np.argsort(index.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(index.reshape(-1)))
    for value, start, end in zip(values.tolist(), [0, *ends[:-1]], ends, strict=True):
        label = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if names is not None:
            try:
                if isinstance(value, int) and value < 0:
                    raise IndexError(value)
                label = names[value]
            except (LookupError, TypeError) as error:
                raise ValueError(
                    f"scenario_names has no name for the scenario {value!r}; it names {len(names)} scenarios."
                ) from error
        yield label, order[start:end]


def _evaluation(plain: Mapping[str, Any]) -> Evaluation:
    given = dict(plain)
    given["metrics"] = estimates_of(entry_of(plain, "metrics", "evaluation"))
    for key in ("click_rate", "calibration_error_floor"):
        if key in plain:
            given[key] = as_float(plain[key])
    curve = entry_of(plain, "calibration", "evaluation")
    columns = {key: np.asarray(entry_of(curve, key, "calibration")) for key in ReliabilityCurve._fields}
    given["calibration"] = ReliabilityCurve(
        **{key: column.astype(np.float64) for key, column in columns.items() if key != "rows"},
        rows=columns["rows"].astype(np.int64),
    )
    histogram = entry_of(plain, "histogram", "evaluation")
    given["histogram"] = LogitHistogram(
        *(np.asarray(entry_of(histogram, key, "histogram"), np.float64) for key in LogitHistogram._fields)
    )
    if plain.get("attainable") is not None:
        best = dict(plain["attainable"])
        for key, entry in best.items():
            if key == "metrics":
                best[key] = estimates_of(entry)
            elif isinstance(entry, dict):
                best[key] = estimate_of(entry)
            else:
                best[key] = as_float(entry)
        given["attainable"] = build(Attainable, best)
    given["scenarios"] = tuple(_evaluation(entry) for entry in plain.get("scenarios", ()))
    evaluation: Evaluation = build(Evaluation, given)
    return evaluation
