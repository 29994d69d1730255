"""Checks of a job that come before its hours of work."""

from __future__ import annotations

import dataclasses

import numpy as np
from tensorflow import keras

from dynctr_tf.datasets.value_vectors import vector_size
from dynctr_tf.encoding import EncodedDataset
from dynctr_tf.figures import figures_text, share_text
from dynctr_tf.jobs.keys import check_keys
from dynctr_tf.jobs.option_tables import rate_schedule
from dynctr_tf.jobs.settings import JobSettings, full_names
from dynctr_tf.metrics import base_rate_log_loss
from dynctr_tf.metrics.sampled_negatives import sampling_offset
from dynctr_tf.models.catalogue import model_entry
from dynctr_tf.nearest import either, nearest_full_names, unknown_name_message
from dynctr_tf.optimizers.registry import optimizer_of
from dynctr_tf.options import check_options

_LEAST_REPLICATES = 40  # so that a replicate lies outside of a 95 % interval on either side


def check_model(settings: JobSettings) -> None:
    """Says what is wrong with the names and options of model and optimizer before data is prepared for them.

    Raises:
        ValueError: An unknown model, optimizer or option, with the nearest known one; an option of a wrong type or
            out of its range; a file of vectors that cannot be read.
    """
    entry = model_entry(settings.model.name)
    for path in settings.model.options:
        # An unknown option may be a setting of another section.
        elsewhere = nearest_full_names(f"model.{path}", [*full_names(), "optimizer.options.learning_rate"], 1.01)
        if path not in entry.defaults and elsewhere:
            raise ValueError(f"Unknown option of model {entry.name!r}: {path!r}. Did you mean {either(elsewhere)}?")
    entry.arguments(settings.model.options)
    check_keys(settings)
    for name, value in settings.model.options.items():
        if name.endswith("activation") and isinstance(value, str):
            _check_activation(f"{name} of model {entry.name!r}", value)
    optimizer = optimizer_of(entry.name, settings.optimizer.name)
    known = dict.fromkeys(optimizer.options)
    check_options(f"optimizer {optimizer.name!r}", optimizer.make, settings.optimizer.options, known)
    rate_schedule(settings.optimizer, 1)
    for path in settings.pretrained.files().values():
        vector_size(path)


def _check_activation(what: str, value: str) -> None:
    try:
        keras.activations.get(value)
    except (ValueError, TypeError) as error:
        known = [name for name in dir(keras.activations) if not name.startswith("_") and name.islower()]
        known = [name for name in known if name not in ("get", "serialize", "deserialize")]
        raise ValueError(unknown_name_message(what, value, known)) from error


def check_evaluation(settings: JobSettings, data: EncodedDataset) -> None:
    """Says what is wrong with the evaluation's settings, and with the rows to be judged, before a model is trained.

    Prints a note for a split in which a metric means nothing: one without clicks, with clicks alone, or of one row.

    Raises:
        ValueError: A grouping by a name that no single-valued field has, with the nearest known one; too few
            replicates; a split without rows; training rows of one class; weights that are all zero or not finite.
    """
    if settings.evaluation.replicates < _LEAST_REPLICATES:
        raise ValueError(
            f"evaluation.replicates must be at least {_LEAST_REPLICATES} for 95 % intervals, got "
            f"{settings.evaluation.replicates}; 1000 is usual."
        )
    group_by = settings.evaluation.group_by
    known = [field.name for field in data.features.single_valued]
    if group_by is not None and group_by not in known:
        raise ValueError(unknown_name_message("field for evaluation.group_by", group_by, known))
    for name in (settings.evaluation.slice_by or "").split(",") if settings.evaluation.slice_by is not None else ():
        if name.strip() not in known:
            raise ValueError(unknown_name_message("field for evaluation.slice_by", name.strip(), known))
    if settings.data.negative_sampling_rate is not None:
        _check_sampling(data, settings.data.negative_sampling_rate)
    for line in check_splits(data, settings.training.monitor):
        print(line)


def _check_sampling(data: EncodedDataset, rate: float) -> None:
    sampling_offset(rate)
    # Where a row stands for several impressions, its weight is their number. It says nothing of rows that were left
    # out.
    if data.schema.impressions is not None or rate == 1.0:
        return
    rows = _labels(data, "train")
    if rows.weights is None:
        return
    clicks, others = rows.labels > 0.5, rows.labels <= 0.5
    if not (clicks.any() and others.any() and rows.weights[clicks].sum() > 0.0):
        return
    ratio = float(rows.weights[others].mean() / rows.weights[clicks].mean())
    if abs(np.log(ratio) + np.log(rate)) < 0.25 * abs(np.log(rate)):
        raise ValueError(
            f"Rows without a click weigh {ratio:.3g} times as much as clicks, which already makes up for "
            f"data.negative_sampling_rate {rate:g}: it would be undone twice. Leave one of the two out."
        )


@dataclasses.dataclass(frozen=True)
class _Labels:
    """The labels of a split and the weight of each row."""

    labels: np.ndarray
    weights: np.ndarray | None

    @property
    def click_rate(self) -> float:
        """The share of clicks, by weight where rows have one."""
        return float(np.average(self.labels.astype(np.float64), weights=self.weights))


def _labels(data: EncodedDataset, split: str) -> _Labels:
    weights = data.column(split, "weight").astype(np.float64) if data.schema.row_weight else None
    return _Labels(data.column(split, "label"), weights)


def training_click_rate(data: EncodedDataset) -> float:
    """The share of clicks among the training rows, by weight where rows have one: the best constant answer."""
    return _labels(data, "train").click_rate


def check_splits(data: EncodedDataset, monitor: str = "logloss") -> list[str]:
    """Checks whether the rows of each split can train, choose and judge a model.

    Args:
        data: The encoded rows.
        monitor: The validation metric that picks the best checkpoint. Default `"logloss"`.

    Returns:
        Notes for a person, one line each.

    Raises:
        ValueError: As `check_evaluation`.
    """
    counts = {name: data.num_rows(name) for name in data.split_names}
    notes = []
    for split in ("train", "validation", "test"):
        if not counts.get(split):
            shown = ", ".join(f"{rows:,} {name}" for name, rows in counts.items())
            raise ValueError(
                f"The {split} split has no rows (of each split: {shown}), and a job needs all three: to train, to pick "
                "the best weights and to judge them. Give more rows, or split them otherwise (data.split_by, or "
                "data.options.splits)."
            )
        rows = _labels(data, split)
        if rows.weights is not None:
            _check_weights(split, rows.weights)
        rate = rows.click_rate
        if 0.0 < rate < 1.0:
            if counts[split] == 1:
                notes.append(f"NOTE: the {split} split has one row; no metric of it means anything")
            continue
        counted = "" if rows.weights is None else " that counts (its weight is above 0)"
        what = f"{'no row is a click' if rate == 0.0 else 'every row is a click'} of the {counts[split]:,} {split} rows"
        what += counted if rate == 0.0 else counted.replace("counts (its", "counts (whose")
        if split == "train":
            raise ValueError(
                f"There is nothing to learn: {what}. Is the label's column the right one, and are its values clicks?"
            )
        if split == "validation" and monitor == "auc":
            raise ValueError(
                f"training.monitor is auc, which is not defined: {what}. Take --training.monitor logloss, or more rows."
            )
        notes.append(f"NOTE: {what}, so that its AUC is not defined")
    return notes


def _check_weights(split: str, weights: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(weights))
    if bad.size:
        raise ValueError(
            f"{bad.size:,} of the {weights.size:,} {split} rows have a weight that is not a finite number in float32 "
            f"(largest 3.4e38), the first is row {int(bad[0]):,} of the split: {weights[bad[0]]:g}."
        )
    if not (weights > 0.0).any():
        raise ValueError(
            f"All {weights.size:,} {split} rows have the weight 0, so no row counts. Leave the weight out of the "
            "schema, or give weights above 0."
        )


def worse_than_base_rate(data: EncodedDataset, val_logloss: float) -> str:
    """Says in capitals that a model is no better on the validation rows than the training rows' click rate is.

    Args:
        data: The encoded rows.
        val_logloss: The log loss of its best validation.

    Returns:
        The line; empty for a model that is better.
    """
    rate = training_click_rate(data)
    validation = _labels(data, "validation")
    base = base_rate_log_loss(validation.labels, rate, validation.weights)
    if val_logloss < base:
        return ""
    return (
        f"THE MODEL IS NO BETTER THAN THE BASE RATE: ITS BEST VALIDATION LOG LOSS IS "
        f"{figures_text(val_logloss)}; TO ANSWER THE TRAINING ROWS' CLICK RATE ({share_text(rate)}) FOR "
        f"EVERY ROW GIVES {figures_text(base)}. A lower learning rate, more steps or other features may help."
    )
