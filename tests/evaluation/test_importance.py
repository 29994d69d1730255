"""Permutation importance: known truths, coverage, and what moves as a whole."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tensorflow import keras

from dynctr_tf.datasets import SyntheticCtrRows
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.encoding import Encoder, write_encoded_dataset
from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field
from dynctr_tf.evaluation import FieldImportance, Importance, permutation_importance, plot_importance
from dynctr_tf.metrics import Estimate, log_loss
from dynctr_tf.models import Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers import LazyAdam
from dynctr_tf.schema import Feature, Schema
from dynctr_tf.training import set_seed

EFFECTS = np.array([[1.2], [0.4], [0.0]]) * np.array([-1.5, 0.5, -1.0, 1.5, -0.5, 1.0])


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids of three fields, of which the first says much, the second little and the third nothing; logits; labels."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 6, (rows, 3))
    logits = EFFECTS[np.arange(3), values].sum(axis=1) - 1.0
    labels = (generator.uniform(size=rows) < 1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
    return (values + np.array([1, 7, 13])).astype(np.int32), logits, labels


def test_known_importance_and_coverage():
    features = EncodedFeatures.from_sizes([6, 6, 6])
    # What the model has learnt of the third field is noise, and so is a part of what it knows of the others.
    learnt = EFFECTS + np.array([[0.0], [0.05], [0.4]]) * np.random.default_rng(1).normal(size=(3, 6))

    def predict(inputs):
        return learnt[np.arange(3), inputs["fields"] - [1, 7, 13]].sum(axis=1) - 1.0

    # The expected importance, from as many rows as one likes.
    ids, _, labels = drawn(400_000, 99)
    truth = []
    for column in range(3):
        moved = ids.copy()
        moved[:, column] = np.random.default_rng(7).permutation(moved[:, column])
        truth.append(log_loss(labels, predict({"fields": moved})) - log_loss(labels, predict({"fields": ids})))
    assert abs(truth[2]) < 0.002 < truth[1] < truth[0]
    covered = []
    for seed in range(30):
        ids, _, labels = drawn(1500, seed)
        importance = permutation_importance(
            predict, {"fields": ids}, labels, features, replicates=100, seed=seed, progress=False
        )
        assert importance.fields[0].name == "f0"
        by_name = {field.name: field for field in importance.fields}
        for column in range(3):
            estimate = by_name[f"f{column}"].log_loss
            covered.append(estimate.lower <= truth[column] <= estimate.upper)
        assert by_name["f0"].log_loss.lower > 0.0 and by_name["f0"].auc.lower > 0.0
    assert np.mean(covered) > 0.88


def test_a_field_that_one_of_the_two_metrics_shows_is_not_called_unproven():
    estimates = {"up": Estimate(0.02, 0.01, 0.03), "open": Estimate(0.01, -0.01, 0.03)}
    fields = [FieldImportance(f"{a}_{b}", "user", estimates[a], estimates[b]) for a in estimates for b in estimates]
    fields.append(FieldImportance("unread", "user", Estimate(0.0, 0.0, 0.0), Estimate(0.0, 0.0, 0.0), is_read=False))
    table = Importance(9, 1, 9, 0.95, 0, estimates["up"], estimates["up"], tuple(fields)).to_text().splitlines()
    said = {line.split()[0]: line for line in table if " user " in line}
    assert {name for name in said if said[name].endswith("nothing shown")} == {"open_open"}
    assert said["unread"].endswith("not read by the model")


def test_what_moves_as_a_whole():
    features = EncodedFeatures(
        fields=(
            Field("scene", "scenario", 1, 5),
            Field("item", "item", 6, 10),
            Field("tags", "item", 16, 9, max_values=3),
        ),
        sequences=(EncodedSequence("history", "user", 4, 6, 10, field="item"),),
        num_scenarios=5,
    )
    generator = np.random.default_rng(2)
    rows = 60
    scene = generator.integers(0, 5, rows).astype(np.int32)
    inputs = {
        "fields": np.stack([scene + 1, generator.integers(6, 16, rows)], axis=1).astype(np.int32),
        "tags": generator.integers(16, 25, (rows, 3)).astype(np.int32),
        "history": generator.integers(0, 16, (rows, 4)).astype(np.int32),
        "scenario": scene,
    }
    seen = []

    def predict(given):
        seen.append({name: entry.copy() for name, entry in given.items()})
        return given["fields"][:, 1] * 0.1 - 1.0

    labels = (np.arange(rows) % 2).astype(np.float32)
    importance = permutation_importance(
        predict, inputs, labels, features, permutations=2, replicates=40, progress=False
    )
    changed = [{name for name in inputs if (inputs[name] != given[name]).any()} for given in seen]
    assert changed == [set(), *[{"fields", "scenario"}] * 2, *[{"fields"}] * 2, *[{"tags"}] * 2, *[{"history"}] * 2]
    for given in seen:
        assert (given["scenario"] + 1 == given["fields"][:, 0]).all()
        for name in ("tags", "history"):
            assert sorted(map(tuple, given[name])) == sorted(map(tuple, inputs[name]))
    zero = {field.name: field.log_loss.value for field in importance.fields if field.name != "item"}
    assert zero == {"scene": 0.0, "tags": 0.0, "history": 0.0}
    # What the model does not take is said to be so.
    del inputs["history"]
    importance = permutation_importance(
        predict, inputs, labels, features, permutations=1, replicates=40, progress=False
    )
    assert [field.name for field in importance.fields if not field.is_read] == ["history"]
    assert "not read by the model" in importance.to_text()


def test_goes_on_and_reads_what_it_wrote(tmp_path):
    ids, logits, labels = drawn(500, 3)
    features = EncodedFeatures.from_sizes([6, 6, 6])
    calls = []

    def predict(inputs):
        calls.append(1)
        return logits + (inputs["fields"] != ids).sum(axis=1)

    done = []
    options = {"permutations": 2, "replicates": 50, "progress": False}
    whole = permutation_importance(predict, {"fields": ids}, labels, features, on_field=done.append, **options)
    assert len(done) == 3 and len(calls) == 7
    again = permutation_importance(predict, {"fields": ids}, labels, features, known=done[:2], **options)
    assert len(calls) == 7 + 3 and again == whole
    assert Importance.from_json(whole.to_json()) == whole
    plot_importance(tmp_path / "importance.png", whole)
    assert (tmp_path / "importance.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="permutations must be at least 1"):
        permutation_importance(predict, {"fields": ids}, labels, features, permutations=0)
    with pytest.raises(ValueError, match="'fields' has 499"):
        permutation_importance(lambda _: logits, {"fields": ids[:499]}, labels, features)


class WithNoise:
    """Synthetic impressions with a field that has nothing to do with anything."""

    def __init__(self, source):
        self.source = source
        self.schema = Schema(
            (*source.schema.features, Feature("noise", "categorical")),
            label="click",
            true_probability="true_probability",
        )
        self.split_names, self.num_rows, self.skipped, self.files = source.split_names, source.num_rows, {}, ()

    def batches(self):
        generator = np.random.default_rng(4)
        for columns, splits, _ in self.source.batches():
            noise = pa.array(generator.integers(0, 30, columns.num_rows).astype(str))
            yield RowBatch(columns.append_column("noise", noise), splits)


def test_a_trained_model_on_synthetic_rows(tmp_path):
    source = WithNoise(SyntheticCtrRows(num_train=40_000, num_validation=100, num_test=8_000))
    data = write_encoded_dataset(source, Encoder.fit(source, progress=False), tmp_path / "data", progress=False)
    set_seed(0)
    model = build_model("fm", data.features, embedding=Embedding(dim=8))
    model.compile(LazyAdam(5e-3), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    model.fit(data.batches("train", 256, shuffle=True), epochs=2, verbose=0)
    ((inputs, labels),) = data.batches("test", 8_000)
    rows = {name: entry.numpy() for name, entry in inputs.items() if name in model.input}
    importance = permutation_importance(
        lambda given: model.predict(given, batch_size=4096, verbose=0),
        rows,
        labels.numpy(),
        data.features,
        permutations=3,
        replicates=100,
        progress=False,
    )
    by_name = {field.name: field for field in importance.fields}
    # Interest and category have effects of their own, and act together; the noise has none.
    assert importance.fields[0].name in ("user_interest", "item_category")
    assert by_name["item_category"].auc.lower > 0.0 and by_name["user_interest"].auc.lower > 0.0
    noise = by_name["noise"].log_loss
    assert noise.lower <= 0.0 <= noise.upper
    assert "noise" in [field.name for field in importance.fields[-6:]]
