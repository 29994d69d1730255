"""How much a model's answers depend on each field: what is lost when its values are exchanged between rows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from dynctr_tf.durable_files import write_text
from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field
from dynctr_tf.evaluation.json_records import as_float, build, entry_of, estimate_of, parse_object, to_plain
from dynctr_tf.evaluation.text_table import align, metric_cells, signed, signed_range
from dynctr_tf.metrics.bootstrap import Estimate, bootstrap_metrics, percentile_interval
from dynctr_tf.metrics.scored_rows import checked_rows

Inputs = Mapping[str, np.ndarray]
Predict = Callable[[Inputs], npt.ArrayLike]
_METRICS = ("log_loss", "auc")


@dataclasses.dataclass(frozen=True)
class FieldImportance:
    """What a model loses without the values of one field.

    Args:
        name: The field or sequence.
        role: Its role.
        log_loss: By how much the log loss grows when the field's values are exchanged between rows.
        auc: By how much the AUC falls.
        is_read: Whether the model takes the field at all. Default `True`.
    """

    name: str
    role: str
    log_loss: Estimate
    auc: Estimate
    is_read: bool = True


@dataclasses.dataclass(frozen=True)
class Importance:
    """The importance of all fields. Made by `permutation_importance`.

    Args:
        rows: Number of rows.
        permutations: How often the values of each field were exchanged.
        replicates: Number of bootstrap resamples.
        confidence: What share of the resamples an interval holds.
        seed: Seed of the permutations and of the draws.
        log_loss: The model's log loss.
        auc: Its AUC.
        fields: The fields, the most important first.
    """

    rows: int
    permutations: int
    replicates: int
    confidence: float
    seed: int
    log_loss: Estimate
    auc: Estimate
    fields: tuple[FieldImportance, ...]

    def to_text(self) -> str:
        """Returns a plain-text table."""
        lines = [
            f"importance of the fields on {self.rows:,} rows: what is lost when a field's values are exchanged between "
            f"rows ({self.permutations} times, {self.confidence * 100:g} % intervals of {self.replicates:,} bootstrap "
            "resamples)",
            f"the model: log loss {' '.join(metric_cells('log_loss', self.log_loss))}, AUC "
            f"{' '.join(metric_cells('auc', self.auc))}",
            "",
        ]
        table = [["field", "role", "log loss", "interval", "AUC", "interval", ""]]
        for field in self.fields:
            cells = []
            for estimate, sign in ((field.log_loss, 1.0), (field.auc, -1.0)):
                low, high = sorted((sign * estimate.lower, sign * estimate.upper))
                cells += [signed(sign * estimate.value, 5), signed_range(low, high, 5)]
            shown = field.log_loss.lower > 0.0 or field.auc.lower > 0.0
            says = "" if shown else "nothing shown" if field.is_read else "not read by the model"
            table.append([field.name, field.role, *cells, says])
        return "\n".join([*lines, *align(table)]) + "\n"

    def to_json(self) -> str:
        """Writes the importance as a JSON text."""
        return json.dumps(to_plain(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Importance:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: Not JSON, or not such a report.
        """
        given = parse_object(text, "importance")
        for key in _METRICS:
            given[key] = estimate_of(entry_of(given, key, "importance"))
        given["fields"] = tuple(map(field_importance_of, entry_of(given, "fields", "importance")))
        given["confidence"] = as_float(given.get("confidence"))
        importance: Importance = build(cls, given)
        return importance

    def save(self, path: str | Path) -> None:
        """Writes the importance to a JSON file."""
        write_text(path, self.to_json())


def field_importance_of(plain: Any) -> FieldImportance:
    """Reads the importance of one field from what JSON holds of it.

    Raises:
        ValueError: It is not the importance of a field.
    """
    estimates = {key: estimate_of(entry_of(plain, key, "field")) for key in _METRICS}
    field: FieldImportance = build(FieldImportance, {**plain, **estimates})
    return field


def permutation_importance(
    predict: Predict,
    inputs: Inputs,
    labels: npt.ArrayLike,
    features: EncodedFeatures,
    *,
    weights: npt.ArrayLike | None = None,
    permutations: int = 5,
    replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    known: Sequence[FieldImportance] = (),
    on_field: Callable[[FieldImportance], None] | None = None,
    progress: bool = True,
) -> Importance:
    """Exchanges the values of one field after the other between rows, and measures what the model loses.

    Use it to see which fields a trained model uses, and which it could do without. It says what this model uses, not
    what the data holds: of two fields that say the same, the model may use either, or half of each.

    `importance = mean over permutations of metric(permuted) - metric(rows)`, with rows and permuted rows scored on the
    same resamples; each resample draws its own rows and permutations. A field whose values have nothing to do with
    labels and other fields has an importance of 0 on average, whatever the model has learnt of it.

    The values of a sequence or of a multi-valued field move as a whole. The scenario or group index moves with its
    field.

    Args:
        predict: Answers encoded rows, a dict of arrays, with their logits.
        inputs: The encoded rows, as `EncodedDataset.batches` gives them; entries that the model does not take may
            be left out.
        labels: 0 or 1, `(rows,)`.
        features: The description of the encoded data.
        weights: How much each row counts. Default `None`: 1 each.
        permutations: How often each field is permuted. Default 5.
        replicates: Number of bootstrap resamples. Default 200.
        confidence: What share of the resamples an interval holds. Default 0.95.
        seed: Seed of permutations and draws. Default 0.
        known: Fields whose importance is known from an earlier call with the same arguments. Default none.
        on_field: Called with the importance of each field once it is there. Default `None`.
        progress: Whether a progress bar is shown on a terminal. Default `True`.

    Returns:
        An `Importance`, the largest growth of the log loss first.

    Raises:
        ValueError: Entries of different lengths, fewer than one permutation, or as
            `dynctr_tf.metrics.bootstrap_metrics`.

    Cost: `fields * permutations` predictions of the rows, and as many bootstraps.

    Example:

    >>> features = EncodedFeatures.from_sizes([4, 4])
    >>> rows = np.random.default_rng(0).integers(0, 4, (500, 2)).astype(np.int32) + np.array([1, 5], np.int32)
    >>> importance = permutation_importance(
    ...     lambda inputs: inputs["fields"][:, 0] - 2.0, {"fields": rows}, (rows[:, 0] > 2) * 1.0, features)
    >>> [(field.name, bool(field.auc.lower > 0)) for field in importance.fields]
    [('f0', True), ('f1', False)]

    Reference: Breiman, "Random forests", Machine Learning 45, 2001, section 10; Fisher, Rudin, Dominici, "All models
        are wrong, but many are useful", JMLR 20, 2019, who call it model reliance. The intervals are ours.
    """
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, got {permutations}.")
    base = checked_rows(labels, predict(inputs), weights)
    rows = base.labels.size
    for name, entry in inputs.items():
        if len(entry) != rows:
            raise ValueError(f"All inputs must have {rows} rows, as the labels; {name!r} has {len(entry)}.")
    result = bootstrap_metrics(
        base.labels,
        {"model": base.logits},
        weights=base.weights,
        replicates=replicates,
        confidence=confidence,
        seed=seed,
        progress=False,
    )
    own = {metric: result.estimate("model", metric) for metric in _METRICS}
    done = {field.name: field for field in known}
    bar = tqdm(features.entries, desc="permuting fields", disable=None if progress else True)
    for place, entry in enumerate(bar):
        bar.set_postfix_str(entry.name)
        if entry.name in done:
            continue
        moved = _entries_of(entry, features, inputs)
        if moved:
            generator = np.random.default_rng([seed, place])
            permuted = [
                np.asarray(predict(_permuted(inputs, moved, generator.permutation(rows))), np.float64).reshape(-1)
                for _ in range(permutations)
            ]
            field = _importance(entry, base.labels, base.logits, permuted, base.weights, replicates, confidence, seed)
        else:
            nothing = Estimate(0.0, 0.0, 0.0)
            field = FieldImportance(entry.name, entry.role, nothing, nothing, is_read=False)
        done[entry.name] = field
        if on_field is not None:
            on_field(field)
    fields = sorted((done[entry.name] for entry in features.entries), key=lambda field: -field.log_loss.value)
    return Importance(rows, permutations, replicates, confidence, seed, own["log_loss"], own["auc"], tuple(fields))


def _entries_of(
    entry: Field | EncodedSequence, features: EncodedFeatures, inputs: Inputs
) -> list[tuple[str, int | None]]:
    """The entries of a batch that hold a feature, with the column of `"fields"`."""
    if isinstance(entry, EncodedSequence) or entry.max_values > 1:
        return [(entry.key, None)] if entry.key in inputs else []
    found: list[tuple[str, int | None]] = []
    if "fields" in inputs:
        found.append(("fields", features.single_valued.index(entry)))
    if entry.role in ("scenario", "group") and entry.role in inputs:
        found.append((entry.role, None))
    return found


def _permuted(inputs: Inputs, moved: Sequence[tuple[str, int | None]], order: np.ndarray) -> dict[str, np.ndarray]:
    changed = dict(inputs)
    for name, column in moved:
        if column is None:
            changed[name] = inputs[name][order]
        else:
            changed[name] = inputs[name].copy()
            changed[name][:, column] = inputs[name][order, column]
    return changed


def _importance(
    entry: Field | EncodedSequence,
    labels: np.ndarray,
    logits: np.ndarray,
    permuted: Sequence[np.ndarray],
    weights: np.ndarray,
    replicates: int,
    confidence: float,
    seed: int,
) -> FieldImportance:
    result = bootstrap_metrics(
        labels,
        {"model": logits, **{str(number): own for number, own in enumerate(permuted)}},
        weights=weights,
        replicates=replicates,
        confidence=confidence,
        seed=seed,
        progress=False,
    )
    # Permutations are drawn again too: with few of them their choice matters.
    drawn = np.random.default_rng([seed, 1]).integers(1, len(permuted) + 1, (replicates, len(permuted)))
    estimates = {}
    for metric, sign in (("log_loss", 1.0), ("auc", -1.0)):
        at = result.metrics.index(metric)
        samples = np.take_along_axis(result.samples[:, :, at], drawn, axis=1).mean(axis=1) - result.samples[:, 0, at]
        value = float(result.values[1:, at].mean() - result.values[0, at])
        ends = sorted(sign * np.asarray(percentile_interval(samples, confidence)))
        estimates[metric] = Estimate(sign * value, float(ends[0]), float(ends[1]))
    return FieldImportance(entry.name, entry.role, estimates["log_loss"], estimates["auc"])
