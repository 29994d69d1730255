"""What models reach in each scenario, and whether sharing cost one of them something: negative transfer."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynctr_tf.durable_files import write_text
from dynctr_tf.evaluation.comparison import model_runs, paired_test_of
from dynctr_tf.evaluation.json_records import (
    as_float,
    build,
    entry_of,
    estimate_of,
    estimates_of,
    parse_object,
    to_plain,
)
from dynctr_tf.evaluation.report import rows_by_scenario
from dynctr_tf.evaluation.text_table import (
    TITLES,
    align,
    counts_text,
    metric_cells,
    metric_decimals,
    number,
    p_value,
    percent,
    percent_range,
    signed,
    signed_range,
)
from dynctr_tf.figures import share_text
from dynctr_tf.metrics.attainable import (
    checked_true_probability,
    gain_share,
    oracle_logits,
    refuse_impossible_labels,
    row_entropies,
    row_expected_log_losses,
)
from dynctr_tf.metrics.bootstrap import Bootstrap, Estimate, bootstrap_metrics, percentile_interval
from dynctr_tf.metrics.likelihood import checked_base_rate
from dynctr_tf.metrics.paired import PairedTest, compare_runs, estimate_of_runs, holm_adjusted
from dynctr_tf.metrics.scored_rows import (
    FloatArray,
    are_weighted,
    as_column,
    checked_labels,
    checked_weights,
    number_of_clicks,
    product_sum,
)
from dynctr_tf.nearest import unknown_name_message

SHOWN = ("auc", "log_loss", "calibration_ratio")
"""The metrics of each scenario."""

TESTED = ("auc", "log_loss")
"""The metrics that are tested against the scenario's own single model."""

BETTER, WORSE, NO_DIFFERENCE, NOT_TESTED = "better", "worse", "no difference shown", "not tested"


@dataclasses.dataclass(frozen=True)
class ScenarioScore:
    """One model in one scenario, or its weighted mean over them.

    Args:
        metrics: AUC, log loss and calibration ratio, the mean over the model's runs, each with an interval; NaN where
            the metric is not defined.
        share: Share of the attainable gain in log loss over the base rate, averaged over the labels. Default `None`:
            the true probabilities are not known.
        tests: The paired tests against the scenario's own single model, by metric. Default none.
        adjusted_p_values: Their p-values by metric, adjusted by Holm's rule for the number of scenarios; NaN where
            the scenario has too few clicks for a test. Default none.
    """

    metrics: dict[str, Estimate]
    share: Estimate | None = None
    tests: dict[str, PairedTest] = dataclasses.field(default_factory=dict)
    adjusted_p_values: dict[str, float] = dataclasses.field(default_factory=dict)

    def verdict(self, metric: str, confidence: float) -> str:
        """Says whether the model is better or worse than the scenario's own single model, as far as can be told."""
        adjusted = self.adjusted_p_values.get(metric, math.nan)
        if math.isnan(adjusted):
            return NOT_TESTED
        if adjusted >= 1.0 - confidence:
            return NO_DIFFERENCE
        return BETTER if (self.tests[metric].difference > 0.0) == (metric == "auc") else WORSE


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One scenario of a report.

    Args:
        name: Its name.
        rows: Number of rows.
        clicks: Number of rows with label 1.
        click_rate: Weighted share of clicks; NaN where no row counts.
        share: Share of all rows, by weight.
        undefined: Why AUC (and without clicks the calibration ratio) are not defined: `"no positives"`,
            `"no negatives"`, or `"no weight"`. Default `None`: they are.
        scores: What each model reaches. Default none.
    """

    name: str
    rows: int
    clicks: float
    click_rate: float
    share: float
    undefined: str | None = None
    scores: dict[str, ScenarioScore] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ScenarioReport:
    """What models reach in each scenario. Made by `scenario_report`.

    Args:
        rows: Number of rows.
        clicks: Number of rows with label 1.
        confidence: What share of such intervals hold the truth.
        replicates: Number of bootstrap resamples of each scenario's rows.
        seed: Seed of the draws.
        runs: The models, and how many runs each has.
        scenarios: The scenarios, the largest first.
        means: For each model the mean over the scenarios, weighted by their rows, of what is defined.
        small_means: The same over the smaller half of the scenarios, which the mean over all hardly shows. Default
            none: there is one scenario only.
        single: The model that was trained for each scenario alone. Default `None`: there is none.
        min_clicks: A scenario with fewer clicks, or fewer other rows, is not tested. Default 10.
        weighted: Whether rows have weights. Default `False`.
        column: The column whose values take the place of scenarios; `single` is then no more than the model that the
            others are tested against. Default `None`: they are scenarios.
    """

    rows: int
    clicks: float
    confidence: float
    replicates: int
    seed: int
    runs: dict[str, int]
    scenarios: tuple[Scenario, ...]
    means: dict[str, ScenarioScore]
    small_means: dict[str, ScenarioScore] = dataclasses.field(default_factory=dict)
    single: str | None = None
    min_clicks: int = 10
    weighted: bool = False
    column: str | None = None

    @property
    def part(self) -> str:
        """What one part of the rows is called."""
        return "scenario" if self.column is None else self.column

    @property
    def parts(self) -> str:
        """What the parts of the rows are called."""
        return "scenarios" if self.column is None else f"values of {self.column}"

    @property
    def smaller_half(self) -> tuple[Scenario, ...]:
        """The smaller half of the scenarios; of an odd number, the middle one is left out."""
        return self.scenarios[len(self.scenarios) - len(self.scenarios) // 2 :]

    def _summaries(self) -> list[tuple[str, tuple[Scenario, ...], dict[str, ScenarioScore]]]:
        """The lines below the scenarios: a name, the scenarios that it covers, and the mean of each model."""
        found = [("weighted mean", self.scenarios, self.means)]
        if self.small_means:
            found.append(("mean of the smaller half", self.smaller_half, self.small_means))
        return found

    def checked_model(self, model: str | None = None) -> str:
        """Returns a model's name, the first one that is not the single one where none is given.

        Raises:
            ValueError: There is no such model.
        """
        if model is None:
            return next((name for name in self.runs if name != self.single), next(iter(self.runs)))
        if model not in self.runs:
            raise ValueError(unknown_name_message("model of the report", str(model), self.runs))
        return model

    def lost(self, model: str | None = None, metric: str = "log_loss") -> tuple[str, ...]:
        """Returns the scenarios in which a model is worse than their own single model: negative transfer.

        Args:
            model: The model. Default `None`: the first that is not the single one.
            metric: `"log_loss"` or `"auc"`. Default `"log_loss"`.

        Raises:
            ValueError: An unknown model or metric.
        """
        return self._with_verdict(self.checked_model(model), metric, WORSE)

    def _with_verdict(self, model: str, metric: str, verdict: str) -> tuple[str, ...]:
        if metric not in TESTED:
            raise ValueError(unknown_name_message("tested metric", str(metric), TESTED))
        return tuple(s.name for s in self.scenarios if s.scores[model].verdict(metric, self.confidence) == verdict)

    def to_text(self, model: str | None = None, max_scenarios: int = 20) -> str:
        """Returns a plain-text report.

        Args:
            model: The model that is reported in full. Default `None`: if there is only one, or one beside that which it
                is tested against, all in full; if there are more, one table per metric with a column per model.
            max_scenarios: How many scenarios are listed, the largest first. Default 20.
        """
        level = f"{self.confidence * 100:g} %"
        lines = [
            f"by {self.part}: {counts_text(self.rows, self.clicks, _click_rate(self.scenarios), self.weighted)} in "
            f"{len(self.scenarios)} {self.parts}; {level} "
            f"intervals, {self.replicates:,} bootstrap resamples of the rows of each",
        ]
        shown = self.scenarios[:max_scenarios]
        alone = model is not None or len([name for name in self.runs if name != self.single]) <= 1
        if alone:
            chosen = self.checked_model(model)
            for name in [chosen] if model is not None else sorted(self.runs, key=lambda name: name == chosen):
                lines += ["", *([name] if len(self.runs) > 1 else []), *align(self._score_table(name, shown))]
            if self.single is not None and chosen != self.single:
                trained = ", trained for each scenario alone," if self.column is None else ""
                lines += ["", f"difference of {chosen} to {self.single}{trained} on the same rows; p adjusted by "]
                lines[-1] += f"Holm's rule for the {self.parts}"
                lines += align(self._difference_table(chosen, shown))
        else:
            for metric in SHOWN:
                lines += ["", TITLES[metric], *align(self._matrix(metric, shown))]
            if any(mean.share is not None for mean in self.means.values()):
                lines += ["", "share of the attainable gain", *align(self._gain_matrix(shown))]
        if len(self.scenarios) > len(shown):
            lines.append(f"... and {len(self.scenarios) - len(shown)} smaller {self.parts}")
        if self.single is not None:
            lines += ["", *self._transfer_lines([self.checked_model(model)] if alone else list(self.runs))]
        return "\n".join(lines) + "\n"

    def _value_cells(self, scenario: Scenario, score: ScenarioScore, metric: str) -> list[str]:
        estimate = score.metrics[metric]
        if math.isnan(estimate.value):
            return [f"not defined: {scenario.undefined}", ""]
        cells = metric_cells(metric, estimate)
        return [cells[0], "too few clicks"] if math.isnan(estimate.lower) else cells

    def _score_table(self, model: str, shown: Sequence[Scenario]) -> list[list[str]]:
        gain = self.means[model].share is not None
        header = [self.part, "rows", "share", "click rate by weight" if self.weighted else "click rate"]
        for metric in SHOWN:
            header += [TITLES[metric], "interval"]
        table = [[*header, *(["attainable gain", "interval"] if gain else [])]]
        for scenario in shown:
            score = scenario.scores[model]
            row = [scenario.name, f"{scenario.rows:,}", percent(scenario.share), share_text(scenario.click_rate)]
            for metric in SHOWN:
                row += self._value_cells(scenario, score, metric)
            table.append([*row, *_gain_cells(score, gain)])
        for name, covered, means in self._summaries():
            row = [*_head(name, covered), share_text(_click_rate(covered))]
            for metric in SHOWN:
                row += metric_cells(metric, means[model].metrics[metric])
            table.append([*row, *_gain_cells(means[model], gain)])
        return table

    def _difference_table(self, model: str, shown: Sequence[Scenario]) -> list[list[str]]:
        header = [self.part]
        for metric in TESTED:
            header += [TITLES[metric], "interval", "adjusted p"]
        table = [[*header, f"log loss against {'its own model' if self.column is None else self.single}"]]
        for scenario in shown:
            score = scenario.scores[model]
            verdict = score.verdict("log_loss", self.confidence)
            if verdict == NOT_TESTED:
                verdict += f": {scenario.undefined or f'fewer than {self.min_clicks} clicks or other rows'}"
            table.append([scenario.name, *_test_cells(score), verdict])
        for name, _, means in self._summaries():
            table.append([name, *_test_cells(means[model]), ""])
        return table

    def _matrix(self, metric: str, shown: Sequence[Scenario]) -> list[list[str]]:
        values = [score.metrics[metric].value for scenario in shown for score in scenario.scores.values()]
        decimals = metric_decimals(metric, values)
        table = [[self.part, "rows", "share", *self.runs]]
        for scenario in shown:
            row = _head(scenario.name, [scenario])
            for score in scenario.scores.values():
                value = score.metrics[metric].value
                mark = {BETTER: " +", WORSE: " -"}.get(score.verdict(metric, self.confidence), "  ")
                text = f"not defined: {scenario.undefined}" if math.isnan(value) else number(value, decimals)
                row.append(text + (mark if self.single is not None and metric in TESTED else ""))
            table.append(row)
        padding = "  " if self.single is not None and metric in TESTED else ""
        for name, covered, means in self._summaries():
            head = _head(name, covered)
            table.append([*head, *(number(mean.metrics[metric].value, decimals) + padding for mean in means.values())])
        return table

    def _gain_matrix(self, shown: Sequence[Scenario]) -> list[list[str]]:
        table = [[self.part, "rows", "share", *self.runs]]
        for scenario in shown:
            cells = [_gain_cells(score, True)[0] for score in scenario.scores.values()]
            table.append([*_head(scenario.name, [scenario]), *cells])
        for name, covered, means in self._summaries():
            table.append([*_head(name, covered), *(" ".join(_gain_cells(mean, True)) for mean in means.values())])
        return table

    def _transfer_lines(self, models: Sequence[str]) -> list[str]:
        alone = " for each scenario alone" if self.column is None else ""
        lines = []
        for model in models:
            if model == self.single:
                continue
            found = {v: self._with_verdict(model, "log_loss", v) for v in (WORSE, BETTER, NOT_TESTED)}
            lost = f": {', '.join(found[WORSE][:10])}" if found[WORSE] else ""
            lost += f" and {len(found[WORSE]) - 10} more" if len(found[WORSE]) > 10 else ""
            lines.append(
                f"{model} against {self.single}{alone}, by log loss: worse in {len(found[WORSE])} of "
                f"{len(self.scenarios)} {self.parts}{lost}; better in {len(found[BETTER])}; not tested in "
                f"{len(found[NOT_TESTED])}"
            )
        return lines

    def to_json(self) -> str:
        """Writes the report as a JSON text; what is undefined (NaN) becomes `null`."""
        return json.dumps(to_plain(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ScenarioReport:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: Not JSON, or not a report by scenario.
        """
        plain = parse_object(text, "report by scenario")
        scenarios = []
        for entry in entry_of(plain, "scenarios", "report by scenario"):
            given = {**entry, "click_rate": as_float(entry_of(entry, "click_rate", "scenario"))}
            given["scores"] = {model: _score(score) for model, score in entry.get("scores", {}).items()}
            scenarios.append(build(Scenario, given))
        means = {model: _score(score) for model, score in entry_of(plain, "means", "report by scenario").items()}
        small = {model: _score(score) for model, score in plain.get("small_means", {}).items()}
        given = {**plain, "scenarios": tuple(scenarios), "means": means, "small_means": small}
        report: ScenarioReport = build(cls, given)
        return report

    def save(self, path: str | Path) -> None:
        """Writes the report to a JSON file."""
        write_text(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> ScenarioReport:
        """Reads a report from a JSON file.

        Raises:
            ValueError: As `from_json`, with the file's name.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _head(name: str, covered: Sequence[Scenario]) -> list[str]:
    """The first cells of a row: name, number of rows and share of them."""
    return [name, f"{sum(part.rows for part in covered):,}", percent(sum(part.share for part in covered))]


def _click_rate(covered: Sequence[Scenario]) -> float:
    """The share of clicks over scenarios, by weight where rows have one."""
    share = sum(part.share for part in covered)
    clicks = sum(part.share * part.click_rate for part in covered if not math.isnan(part.click_rate))
    return clicks / share if share else math.nan


def _gain_cells(score: ScenarioScore, wanted: bool) -> list[str]:
    if not wanted:
        return []
    return ["-", ""] if score.share is None else [percent(score.share.value), percent_range(score.share)]


def _test_cells(score: ScenarioScore) -> list[str]:
    cells: list[str] = []
    for metric in TESTED:
        test = score.tests.get(metric)
        if test is None or math.isnan(test.difference):
            cells += ["-", "", "-"]
        else:
            adjusted = score.adjusted_p_values.get(metric, math.nan)
            decimals = metric_decimals(metric, [score.metrics[metric].value])
            interval = "" if math.isnan(test.lower) else signed_range(test.lower, test.upper, decimals)
            cells += [signed(test.difference, decimals), interval, p_value(adjusted)]
    return cells


def _score(plain: Mapping[str, Any]) -> ScenarioScore:
    given = dict(plain)
    given["metrics"] = estimates_of(entry_of(plain, "metrics", "score"))
    if given.get("share") is not None:
        given["share"] = estimate_of(given["share"])
    given["tests"] = {metric: paired_test_of(test) for metric, test in given.get("tests", {}).items()}
    given["adjusted_p_values"] = {m: as_float(v) for m, v in given.get("adjusted_p_values", {}).items()}
    score: ScenarioScore = build(ScenarioScore, given)
    return score


def scenario_report(
    labels: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike | Sequence[npt.ArrayLike]],
    scenario: npt.ArrayLike,
    *,
    single: str | None = None,
    names: Mapping[int, str] | Sequence[str] | None = None,
    column: str | None = None,
    weights: npt.ArrayLike | None = None,
    true_probability: npt.ArrayLike | None = None,
    base_rate: float | None = None,
    min_clicks: int = 10,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = True,
) -> ScenarioReport:
    """Measures models in each scenario, and tests them there against the scenario's own single model.

    Use it on the test rows of data with scenarios: one number over all rows hides a scenario that pays for the
    others. Give as `single` the predictions in which each row is scored by a model that was trained on its
    scenario's rows alone; a scenario in which a shared model is worse than that one has suffered negative transfer.

    `mean = sum_s w_s m_s / sum_s w_s`, w_s the weight of the rows of each scenario s in which m is defined

    Each scenario's rows are resampled on their own, so that intervals of the weighted mean are those of a sample that
    is stratified by scenario. Tests cover rows and, where both models have more than one run, seeds, as
    `dynctr_tf.metrics.paired_test_over_seeds` explains.

    Args:
        labels: 0 or 1, `(rows,)` or `(rows, 1)`.
        predictions: For each model its runs, as in `compare`: a list of arrays of logits, an array `(runs, rows)`,
            or one array `(rows,)`.
        scenario: The scenario of each row.
        single: The model among `predictions` that the others are tested against. Default `None`: no tests.
        names: Names of the scenarios, where `scenario` holds indices. Default `None`: the values themselves.
        column: The column that `scenario` holds, where its values are other parts of the rows, such as days; the text
            then speaks of them, and `single` may be any model. Default `None`: they are scenarios.
        weights: How much each row counts. Default `None`: 1 each.
        true_probability: The probability with which each row's label was drawn; adds the share of the attainable
            gain. Default `None`: not known.
        base_rate: The click rate of the training rows, from which that gain is counted. Default `None`: that of
            these rows.
        min_clicks: A scenario with fewer clicks, or fewer other rows, is shown and not tested, because the test's
            standard error means nothing then. Default 10.
        replicates: Number of resamples. Default 1000.
        confidence: What share of such intervals hold the truth. Default 0.95.
        seed: Seed of the draws. Default 0.
        progress: Whether a progress bar is shown on a terminal. Default `True`.

    Returns:
        A `ScenarioReport`. What is not defined in a scenario (the AUC without clicks) is NaN, and said so in the text.

    Raises:
        ValueError: As `compare`, a scenario without a name, or a `single` that is not among the models.

    Cost: as `bootstrap_metrics` with as many predictions as there are runs.

    Example:

    >>> labels, page = [0, 1, 1, 0] * 50, [0] * 150 + [1] * 50
    >>> report = scenario_report(labels, {"shared": [-1.0, 1.0, 0.5, 0.0] * 50, "single": [0.0] * 200}, page,
    ...                          single="single", names=["home", "search"], replicates=100)
    >>> report.lost("shared"), report.scenarios[1].name, report.scenarios[1].share
    ((), 'search', 0.25)

    Reference: the rows-weighted mean and the tests are ours; we know of no paper on several scenarios that reports
        intervals.
    """
    y = checked_labels(labels)
    weight = checked_weights(weights, y.size)
    if not predictions:
        raise ValueError("Give at least one model, such as {'optmsm': logits}.")
    if single is not None and single not in predictions:
        raise ValueError(unknown_name_message("single model", str(single), predictions))
    runs: dict[str, list[str]] = {}
    logits: dict[str, FloatArray] = {}
    for model, given in predictions.items():
        runs[model] = []
        for index, values in enumerate(model_runs(model, given, y.size)):
            runs[model].append(f"{model}, run {index}")
            logits[runs[model][-1]] = as_column(values, f"logits of {runs[model][-1]}", y.size)
    known = None if true_probability is None else checked_true_probability(true_probability, y.size)
    if known is not None:
        refuse_impossible_labels(y, known)
    rate = product_sum(weight, y) / float(weight.sum()) if base_rate is None else base_rate

    parts: list[tuple[Scenario, Bootstrap | None]] = []
    for index, (name, chosen) in enumerate(rows_by_scenario(scenario, names, y.size)):
        own, mass = y[chosen], float(weight[chosen].sum())
        clicks = product_sum(weight[chosen], own)
        undefined = None
        if not mass > 0.0:
            undefined = "no weight"
        elif not clicks > 0.0:
            undefined = "no positives"
        elif not product_sum(weight[chosen], 1.0 - own) > 0.0:
            undefined = "no negatives"
        described = Scenario(
            name,
            int(chosen.size),
            number_of_clicks(own),
            clicks / mass if mass else math.nan,
            mass / float(weight.sum()),
            undefined,
        )
        result = None
        if mass > 0.0:
            result = bootstrap_metrics(
                own,
                {run: values[chosen] for run, values in logits.items()},
                weights=weight[chosen],
                replicates=replicates,
                confidence=confidence,
                row_values=_row_losses(known, logits, chosen, rate),
                seed=seed * 1_000_003 + index,
                progress=progress,
            )
        parts.append((described, result))
    parts.sort(key=lambda part: (-part[0].rows, part[0].name))

    scores = [_scores(part, result, runs, single, min_clicks) for part, result in parts]
    for model in runs:
        for metric in TESTED if single is not None and model != single else ():
            adjusted = holm_adjusted([of[model].tests[metric].p_value for of in scores])
            for of, value in zip(scores, adjusted, strict=True):
                of[model].adjusted_p_values[metric] = value

    def mean_scores(of: Sequence[tuple[Scenario, Bootstrap | None]]) -> dict[str, ScenarioScore]:
        whole = Scenario("mean", sum(p.rows for p, _ in of), sum(p.clicks for p, _ in of), math.nan, 1.0)
        means = _scores(whole, _weighted_mean(of), runs, single, min_clicks)
        for mean in means.values():
            mean.adjusted_p_values.update({metric: test.p_value for metric, test in mean.tests.items()})
        return means

    small = parts[len(parts) - len(parts) // 2 :]
    return ScenarioReport(
        rows=y.size,
        clicks=number_of_clicks(y),
        weighted=are_weighted(weight),
        confidence=confidence,
        replicates=replicates,
        seed=seed,
        runs={model: len(of) for model, of in runs.items()},
        scenarios=tuple(dataclasses.replace(part, scores=of) for (part, _), of in zip(parts, scores, strict=True)),
        means=mean_scores(parts),
        small_means=mean_scores(small) if small else {},
        single=single,
        min_clicks=min_clicks,
        column=column,
    )


def _row_losses(
    known: FloatArray | None, logits: Mapping[str, FloatArray], chosen: npt.NDArray[np.int64], rate: float
) -> dict[str, npt.ArrayLike]:
    """Returns the losses, averaged over the labels, from which the attainable gain is computed."""
    if known is None:
        return {}
    p = known[chosen]
    constant = np.full(p.size, float(oracle_logits([checked_base_rate(rate)])[0]))
    losses: dict[str, npt.ArrayLike] = {"base": row_expected_log_losses(p, constant), "best": row_entropies(p)}
    return {**losses, **{run: row_expected_log_losses(p, values[chosen]) for run, values in logits.items()}}


def _scores(
    scenario: Scenario, result: Bootstrap | None, runs: Mapping[str, Sequence[str]], single: str | None, min_clicks: int
) -> dict[str, ScenarioScore]:
    """Returns what each model reaches, and its tests, from the bootstrap of one scenario or of their mean."""
    nothing = Estimate(math.nan, math.nan, math.nan)
    if result is None:
        untested = {metric: _no_test(metric, math.nan) for metric in TESTED}
        return {
            model: ScenarioScore(dict.fromkeys(SHOWN, nothing), None, {} if single in (None, model) else dict(untested))
            for model in runs
        }
    few = min(scenario.clicks, scenario.rows - scenario.clicks) < min_clicks
    scores = {}
    for model, names in runs.items():
        metrics = {}
        for metric in SHOWN:
            value = float(np.mean([result.values[result.position(run, metric)] for run in names]))
            metrics[metric] = nothing if math.isnan(value) else estimate_of_runs(result, names, metric)
        tests = {}
        for metric in TESTED if single is not None and model != single else ():
            own = runs[single] if single is not None else ()
            test = compare_runs(result, names, own, metric)
            # So few clicks that many resamples have none, or that a standard error means nothing.
            tests[metric] = _no_test(metric, test.difference) if few or math.isnan(test.p_value) else test
        share = None
        if result.row_means:
            means, samples = result.row_means, result.row_mean_samples
            value = float(gain_share(means["base"], float(np.mean([means[run] for run in names])), means["best"]))
            drawn = np.mean([samples[run] for run in names], axis=0)
            interval = percentile_interval(gain_share(samples["base"], drawn, samples["best"]), result.confidence)
            share = Estimate(value, *interval)
        scores[model] = ScenarioScore(metrics, share, tests)
    return scores


def _no_test(metric: str, difference: float) -> PairedTest:
    return PairedTest(metric, difference, math.nan, math.nan, math.nan, math.nan, "none")


def _defined_samples(samples: FloatArray) -> FloatArray:
    """The resamples of a scenario, those that are not defined replaced by the ones that are, in turn.

    Scenarios are drawn independently, so that any of its resamples may stand beside those of the others; which are
    undefined depends on labels and weights alone, so that all predictions keep the same resample.

    Args:
        samples: float64 `(replicates,)` or `(replicates, predictions)`.
    """
    missing = np.isnan(samples.reshape(len(samples), -1)).any(axis=1)
    there = np.flatnonzero(~missing)
    if not missing.any() or not there.size:
        return samples
    taken = np.arange(len(samples))
    taken[missing] = np.resize(there, int(missing.sum()))
    return samples[taken]


def _weighted_mean(parts: Sequence[tuple[Scenario, Bootstrap | None]]) -> Bootstrap | None:
    """Returns the mean of the scenarios' metrics, on their rows and on their resamples.

    It is over the scenarios in which a metric is defined. One that is defined on a scenario's rows and not on some of
    its resamples (few clicks, or few rows with a weight, of which none was drawn) has other resamples of that scenario
    in their place: without it those would be means over fewer scenarios, and the interval that of another quantity.

    `None` where no scenario has weight.
    """
    made = [(part.share, result) for part, result in parts if result is not None]
    if not made:
        return None
    first = made[0][1]
    shares = np.array([share for share, _ in made])

    def mean(values: list[FloatArray]) -> FloatArray:
        stacked = np.stack(values)  # (scenarios, ...)
        share = shares.reshape(-1, *[1] * (stacked.ndim - 1)) * ~np.isnan(stacked)
        total = share.sum(axis=0)
        sums = (np.nan_to_num(stacked) * share).sum(axis=0)
        averaged: FloatArray = np.divide(sums, total, out=np.full(total.shape, np.nan), where=total > 0.0)
        return averaged

    def samples_of(metric: int) -> FloatArray:
        return mean([_defined_samples(result.samples[:, :, metric]) for _, result in made])

    names = list(first.row_means)
    return Bootstrap(
        predictions=first.predictions,
        metrics=first.metrics,
        values=mean([result.values for _, result in made]),
        samples=np.stack([samples_of(j) for j in range(len(first.metrics))], axis=2),
        error_of_true=(),
        row_means={name: float(mean([np.asarray(result.row_means[name]) for _, result in made])) for name in names},
        row_mean_samples={
            name: mean([_defined_samples(result.row_mean_samples[name]) for _, result in made]) for name in names
        },
        confidence=first.confidence,
    )
