"""What the dynamic part does: known shares, values and rows, and a model of one's own whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import layers
from dynctr_tf.evaluation import Column, GeneratedWeights, explain_dynamic_part, generated_weights, plot_dynamic_part
from dynctr_tf.training import set_seed

ROWS = 2000


def two_tensors() -> tuple[list[GeneratedWeights], dict[str, Column]]:
    generator = np.random.default_rng(0)
    page, other, many = generator.integers(0, 4, ROWS), generator.integers(0, 9, ROWS), generator.integers(0, 400, ROWS)
    # Half of the variance of the first two numbers lies between pages; the third is the same for all rows.
    noise = generator.normal(size=(ROWS, 2))
    between = np.array([-1.0, -1.0, 1.0, 1.0])[page][:, None]
    first = np.concatenate([between + noise, np.full((ROWS, 1), 7.0)], axis=1)
    second = generator.normal(size=(ROWS, 40)).astype(np.float32)
    second[17] += 10.0
    columns = {
        "page": Column(page, ["a", "b", "c", "d"]),
        "other": Column(other, [str(number) for number in range(9)]),
        "many": Column(many, [str(number) for number in range(400)]),
        "row": Column(np.arange(ROWS), [str(number) for number in range(ROWS)]),
    }
    generated = [
        GeneratedWeights("gate", "weights", (3,), first.astype(np.float32)),
        GeneratedWeights("tower", "weights", (40,), second),
    ]
    return generated, columns


def test_shares_means_and_unusual_rows(tmp_path):
    generated, columns = two_tensors()
    labels = np.zeros(ROWS)
    raw = {"page": [f"page {number}" for number in columns["page"].index]}
    report = explain_dynamic_part(
        generated, columns, labels=labels, logits=labels, raw_values=raw, row_numbers=np.arange(ROWS) + 100
    )
    gate, tower = report.tensors
    assert report.by == "page"
    shares = {field.field: field for field in gate.fields}
    assert shares["page"].share == pytest.approx(0.5, abs=0.03) and shares["page"].is_above_noise
    # Of chance alone 400 values account for a fifth; corrected, for nothing.
    assert abs(shares["many"].share) < 0.03 and abs(shares["other"].share) < 0.01
    # Another value in each row, or one number that is the same for all, says nothing.
    assert "row" not in shares and gate.spread[2] == 0.0
    assert all(abs(field.share) < 0.01 for field in tower.fields if field.field != "many")
    values = {value.value: value for value in gate.values}
    np.testing.assert_allclose(values["a"].mean[:2], -1.0, atol=0.15)
    assert values["a"].distance == pytest.approx(1.0 / np.sqrt(2.0), abs=0.08)
    assert report.unusual[0].row == 117 and report.unusual[0].values == {"page": raw["page"][17]}
    assert report.unusual[0].distance > 5.0 > report.unusual[1].distance
    text = report.to_text()
    assert "gate, weights (3)" in text and "page 5" in text and "row 117" in text
    plain = json.loads(report.to_json())
    assert plain["static"] is False and plain["tensors"][0]["fields"][0]["field"] == "page"
    plot_dynamic_part(tmp_path / "dynamic.png", report)
    assert (tmp_path / "dynamic.png").stat().st_size > 20_000


def test_what_rows_do_not_tell_is_left_out():
    generated, columns = two_tensors()
    values = generated[0].values.copy()
    values[::3, 0] = np.nan
    report = explain_dynamic_part([generated[0]._replace(values=values)], columns, by="page")
    assert np.isfinite(report.tensors[0].mean).all()
    assert {field.field: field for field in report.tensors[0].fields}["page"].share > 0.35


def test_rows_with_the_same_weights_are_shown_once():
    scenario = np.array([0] * 500 + [1] * 100 + [2] * 3)
    table = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)
    columns = {"scene": Column(scenario, ["a", "b", "c"])}
    report = explain_dynamic_part([GeneratedWeights("t", "w", (6,), table[scenario])], columns)
    assert sorted((row.row, row.same) for row in report.unusual) == [(0, 499), (500, 99), (600, 2)]
    assert report.tensors[0].fields[0].share == pytest.approx(1.0)


def test_what_is_generated_for_each_field():
    values = np.tile(np.arange(12.0), (50, 1)) + np.random.default_rng(2).normal(size=(50, 1))
    columns = {"scene": Column(np.arange(50) % 2, ["a", "b"])}
    names = ["user", "item", "hour"]
    report = explain_dynamic_part([GeneratedWeights("g", "gate", (3, 4), values)], columns, field_names=names)
    by_field = report.tensors[0].by_field
    assert [own.field for own in by_field] == names
    assert np.diff([own.mean for own in by_field]).tolist() == pytest.approx([4.0, 4.0])
    assert by_field[0].spread == pytest.approx(values[:, 0].std())
    assert "by field, mean (spread over the rows): user" in report.to_text()
    # Numbers that were thinned, and axes of another size, are of no field.
    for weights in (GeneratedWeights("g", "gate", (3, 8), values), GeneratedWeights("g", "gate", (4, 3, 3), values)):
        assert not explain_dynamic_part([weights], columns, field_names=names).tensors[0].by_field


def test_weights_that_are_the_same_for_all_rows_are_said_to_be_so(tmp_path):
    generated, columns = two_tensors()
    constant = GeneratedWeights("gate", "weights", (2,), np.ones((ROWS, 2), np.float32))
    report = explain_dynamic_part([constant], {"row": columns["row"], "$page_$": columns["page"]})
    assert report.by == "$page_$" and report.tensors[0].relative_spread == 0.0
    assert "the same for all rows" in report.to_text() and report.unusual[0].same == ROWS - 1
    plot_dynamic_part(tmp_path / "constant.png", report)
    with pytest.raises(ValueError, match="there is nothing to compare by"):
        explain_dynamic_part([constant], {"row": columns["row"]})


def test_static_models_and_unknown_columns(tmp_path):
    report = explain_dynamic_part([], {})
    assert report.is_static and "no layer of it generates parameters" in report.to_text()
    assert json.loads(report.to_json())["static"] is True
    plot_dynamic_part(tmp_path / "static.png", report)
    generated, columns = two_tensors()
    with pytest.raises(ValueError, match="Did you mean 'page'"):
        explain_dynamic_part(generated, columns, by="pages")
    with pytest.raises(ValueError, match="'page' has 3 rows"):
        explain_dynamic_part(generated, {"page": Column(np.arange(3), "abc")})


def test_a_gate_that_must_learn_the_context_differs_by_context_and_not_by_noise():
    """The context turns round what an item is worth; a field beside it in the condition says nothing."""
    generator = np.random.default_rng(5)
    item, context, noise = (generator.integers(0, size, 20_000) for size in (12, 4, 10))
    worth = np.random.default_rng(6).normal(0.0, 2.0, 12)
    logits = worth[item] * np.array([1.0, -1.0, 1.0, -1.0])[context]
    labels = (generator.uniform(size=logits.size) < 1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
    set_seed(1)
    inputs = {name: keras.Input((), dtype="int32", name=name) for name in ("item", "context", "noise")}
    sizes = {"item": 12, "context": 4, "noise": 10}
    embedded = {name: keras.layers.Embedding(sizes[name], 8)(given) for name, given in inputs.items()}
    condition = keras.layers.Concatenate()([embedded["context"], embedded["noise"]])
    gated = layers.GateUnit(name="gate")(embedded["item"], condition)
    model = keras.Model(inputs, keras.layers.Dense(1)(gated))
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
    rows = {"item": item, "context": context, "noise": noise}
    rows = {name: values.astype(np.int32) for name, values in rows.items()}
    model.fit(rows, labels, batch_size=256, epochs=6, verbose=0)
    some = {name: tf.constant(values[:3000]) for name, values in rows.items()}
    generated = generated_weights(model, [some])
    columns = {
        name: Column(values[:3000], [f"{name} {n}" for n in range(sizes[name])]) for name, values in rows.items()
    }
    report = explain_dynamic_part(generated, columns)
    shares = {field.field: field.share for field in report.tensors[0].fields}
    assert report.by == "context" and shares["context"] > 0.8 > 5 * shares["noise"]
    assert abs(shares["item"]) < 0.02
    # Contexts 0 and 2 turn the worth one way, 1 and 3 the other.
    means = {value.value: value.mean for value in report.tensors[0].values}
    assert (
        np.corrcoef(means["context 0"], means["context 2"])[0, 1]
        > np.corrcoef(means["context 0"], means["context 1"])[0, 1]
    )
