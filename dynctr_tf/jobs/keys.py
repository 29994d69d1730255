"""Jobs on keys without a vocabulary: what they refuse, when rows of keys go, and what is said of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from dynctr_tf.encoding import EncodedDataset, EncodedFeatures
from dynctr_tf.encoding.value_keys import share_with_another
from dynctr_tf.figures import share_text
from dynctr_tf.jobs.settings import NUM_KEYS, JobSettings, KeySettings, has_keys
from dynctr_tf.layers import KeyEmbedding
from dynctr_tf.optimizers.registry import optimizer_of
from dynctr_tf.stack import raw_variable
from dynctr_tf.training import ExpireKeys
from dynctr_tf.training.key_rows import key_layers

UNTOUCHED = "untouched_rows"
_NOTED_SHARE = 1e-3  # of keys that share a row


def check_keys(settings: JobSettings) -> None:
    """Refuses settings that do not go together with keys, or that are of no use without them.

    Raises:
        ValueError: One of these, with what to do.
    """
    if not has_keys(settings):
        if settings.data.keys is not None:
            raise ValueError(
                f"data.keys {settings.data.keys} gives features keys without a vocabulary, for which the table needs "
                f"a number of rows: give --model.{NUM_KEYS} 1000000, or leave data.keys out."
            )
        if settings.keys != KeySettings():
            raise ValueError(
                f"The settings of [keys] free rows of keys, and there are none without model.{NUM_KEYS}: give it, or "
                "leave [keys] out."
            )
        return
    ExpireKeys(settings.keys.every, settings.keys.unseen_for, settings.keys.free_share)
    if settings.training.strategy is not None:
        raise ValueError(
            f"Keys take their rows in one process on one device, and the strategy {settings.training.strategy!r} has "
            f"several; leave it out, or model.{NUM_KEYS}: a table of a vocabulary may be spread."
        )
    if settings.pretrained.files():
        raise ValueError(
            f"Vectors are put into the rows of a vocabulary's values, and with model.{NUM_KEYS} a value has no row "
            "before it is seen; leave pretrained.vectors or the option out."
        )
    optimizer = optimizer_of(settings.model.name, settings.optimizer.name).name
    given = settings.optimizer.options.get(UNTOUCHED, "keep")
    if optimizer == "group_ftrl" and given != "keep":
        raise ValueError(
            f"optimizer.options.{UNTOUCHED} {given} sets rows to 0 that later keys will take, and two vectors of zeros "
            "may never move; with keys it must be keep."
        )
    if optimizer.endswith(".ftrl"):
        raise ValueError(
            f"{optimizer} sets all rows to 0 in its first step, also those that later keys will take, and two vectors "
            "of zeros may never move; take group_ftrl."
        )


def optimizer_options_for_keys(settings: JobSettings, optimizer: str) -> dict[str, Any]:
    """Options of an optimizer that keys need.

    Args:
        settings: The settings of the job.
        optimizer: The optimizer's name in the registry.
    """
    keyed = settings.model.options.get(NUM_KEYS) is not None
    return {UNTOUCHED: "keep"} if keyed and optimizer == "group_ftrl" else {}


def key_callbacks(settings: JobSettings, model: Any) -> list[ExpireKeys]:
    """The callback that takes rows from keys, or that only says when there are too few; none for a model without keys.

    Args:
        settings: The settings of the job.
        model: The model that is trained.
    """
    if not key_layers(model):
        return []
    return [ExpireKeys(settings.keys.every, settings.keys.unseen_for, settings.keys.free_share)]


def ids_text(features: EncodedFeatures) -> str:
    """How many ids there are, and how many features have keys in place of ids of a vocabulary."""
    ids = f"{features.num_vocabulary_ids:,} ids"
    keyed = len(features.key_names)
    return f"{ids} of vocabularies; {keyed} {'feature has' if keyed == 1 else 'features have'} keys" if keyed else ids


@dataclasses.dataclass(frozen=True)
class KeyCounts:
    """What has become of the keys of a table.

    Attributes:
        layer: The name of the layer.
        rows: How many rows there are.
        used: How many of them keys have.
        freed: How many rows were taken from keys so far.
        refused: How often a new key has found no free row, in all steps of training.
    """

    layer: str
    rows: int
    used: int
    freed: int
    refused: int

    @classmethod
    def of(cls, layer: KeyEmbedding) -> KeyCounts:
        """Counts the keys of a layer."""
        freed, refused = (int(raw_variable(weight)) for weight in (layer.num_freed, layer.num_refused))
        return cls(layer.name, layer.num_keys, layer.num_used, freed, refused)

    def to_text(self, since: KeyCounts | None = None) -> str:
        """The counts in a line, and in a second one what to do where there were too few rows.

        Args:
            since: Earlier counts, after which new keys and freed rows are counted. Default `None`: from the beginning.
        """
        used, freed, refused = (0, 0, 0) if since is None else (since.used, since.freed, since.refused)
        freed, refused = self.freed - freed, self.refused - refused
        text = f"keys: {self.used:,} of the {self.rows:,} rows of {self.layer} are used"
        text += f", {self.used - used + freed:,} of them by new keys" if since is not None else ""
        text += f"; {freed:,} were freed"
        shared = share_with_another(self.used)
        if shared >= _NOTED_SHARE:
            text += f"; about {share_text(shared)} of the keys stand for two values, as ids have 31 bits"
        if refused:
            text += (
                f"\nTHE TABLE WAS FULL: {refused:,} times a new key found no free row and was answered with zeros. "
                f"Give more rows (model.{NUM_KEYS}), or free those of keys that are not seen any more "
                "(keys.unseen_for, keys.free_share)."
            )
        return text


def key_counts(model: Any) -> list[KeyCounts]:
    """Counts the keys of each table of a model; none for a model without keys.

    Args:
        model: The model.
    """
    return [KeyCounts.of(layer) for layer in key_layers(model)]


def without_row(model: Any, data: EncodedDataset, split: str = "test") -> float:
    """The share of the ids of a split, padding left out, that have no row, and so count as zeros.

    Args:
        model: A model with keys, whose table all ids of a batch are looked up in.
        data: The encoded rows.
        split: The split. Default `"test"`.

    Cost: it reads the split once.
    """
    (layer, *_) = key_layers(model)
    total = absent = 0
    entries = [entry.key for entry in data.features.own_entries]
    for batch, *_ in data.batches(split, 16384):
        for name in (["fields"] if data.features.single_valued else []) + entries:
            distinct, counts = np.unique(batch[name].numpy(), return_counts=True)
            counts[distinct == 0] = 0
            total += int(counts.sum())
            absent += int(counts[layer.rows_of(distinct) == 0].sum())
    return absent / total if total else 0.0


def key_lines(model: Any, data: EncodedDataset, split: str = "test") -> list[str]:
    """What a job says of the keys of a trained model; nothing for a model without keys.

    Args:
        model: The model.
        data: The encoded rows.
        split: The split whose ids are looked up. Default `"test"`.
    """
    lines = [counts.to_text() for counts in key_counts(model)]
    if lines:
        lines.append(f"of the ids of the {split} rows {share_text(without_row(model, data, split))} have no row")
    return lines
