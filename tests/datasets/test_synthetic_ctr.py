"""The synthetic rows: known probabilities, long tails, and what low orders can reach."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dynctr_tf.datasets import SyntheticCtrRows
from dynctr_tf.datasets.synthetic_ctr import CATEGORICAL, NUMERIC


@pytest.fixture(scope="module")
def source():
    return SyntheticCtrRows()


@pytest.fixture(scope="module")
def table(source):
    return pa.Table.from_batches([batch.columns for batch in source.batches()]).unify_dictionaries()


def area_under_curve(clicks, scores):
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    clicked = clicks.sum()
    return (ranks[clicks == 1].sum() - clicked * (clicked + 1) / 2) / (clicked * (len(clicks) - clicked))


def test_sizes_splits_and_columns(source, table):
    splits = np.concatenate([batch.splits for batch in source.batches()])
    assert np.bincount(splits).tolist() == [200_000, 28_571, 57_143]
    assert table.num_rows == source.num_rows == 285_714
    assert tuple(table.column_names) == source.schema.columns
    assert table.schema.field("click").type == pa.float32()
    assert {str(table.schema.field(name).type) for name in NUMERIC} == {"double"}
    assert source.skipped == {}


def test_probabilities_are_the_clicks(table):
    clicks, probability = table["click"].to_numpy(), table["true_probability"].to_numpy()
    assert set(np.unique(clicks)) == {0.0, 1.0}
    assert abs(probability.mean() - 0.22) < 0.003
    # Calibrated in every decile, within four standard errors.
    for chosen in np.array_split(np.argsort(probability), 10):
        error = np.sqrt((probability[chosen] * (1 - probability[chosen])).sum())
        assert abs(clicks[chosen].sum() - probability[chosen].sum()) < 4 * error
    assert abs(area_under_curve(clicks, probability) - 0.80) < 0.005


def test_long_tails_missing_cells_and_unequal_scenarios(table):
    users = np.sort([entry["counts"] for entry in pc.value_counts(table["user_id"]).to_pylist()])[::-1]
    assert len(users) > 1900 and users[:200].sum() > 0.35 * users.sum() and np.median(users) < 0.6 * users.mean()
    scenarios = sorted(entry["counts"] for entry in pc.value_counts(table["scenario_id"]).to_pylist())
    assert np.allclose(np.array(scenarios) / table.num_rows, [1 / 7, 2 / 7, 4 / 7], atol=0.005)
    shares = {"user_age": 0.10, "item_brand": 0.05, "device": 0.02, "item_price": 0.05, "days_since_last_visit": 0.15}
    for name in (*CATEGORICAL, *NUMERIC):
        if name == "user_interest":
            continue
        assert abs(table[name].null_count / table.num_rows - shares.get(name, 0.0)) < 0.004, name


def test_rows_depend_on_seed_and_number_alone(table):
    again = SyntheticCtrRows(num_train=70_000, num_validation=10, num_test=10)
    rows = pa.Table.from_batches([batch.columns for batch in again.batches()]).unify_dictionaries()
    for name in rows.column_names:
        expected = table[name].slice(0, 70_020)
        found = rows[name]
        if pa.types.is_dictionary(found.type):
            found, expected = found.cast(pa.string()), expected.cast(pa.string())
        if name == "click":
            # The last 20 rows are in other splits, and the same rows all the same.
            assert found.to_pylist() == expected.to_pylist()
        assert found.equals(expected), name
    other = SyntheticCtrRows(num_train=1000, num_validation=1, num_test=1, seed=1)
    assert not next(other.batches()).columns["click"].equals(table["click"].chunk(0)[:1000])


def test_third_order_part_has_no_mean_given_user_and_item(source):
    rows = 2**62 + 500_000 + np.arange(200_000)
    drawn = source._draw(rows)
    third = drawn.terms[:, 2] / drawn.terms[:, 2].std()
    for first, second in (
        ("user_interest", "item_category"),
        ("user_interest", "hour"),
        ("item_category", "scenario_id"),
        ("user_age", "item_brand"),
        ("device", "item_category"),
        ("hour", "scenario_id"),
    ):
        size = drawn.values[second].max() + 1
        cells = drawn.values[first] * size + drawn.values[second]
        counts = np.bincount(cells)
        means = np.bincount(cells, third)[counts > 0] / counts[counts > 0]
        # By chance alone, cell means explain one part in 200 000 per cell.
        explained = (counts[counts > 0] * means**2).sum() / len(rows)
        assert explained < 3 * (counts > 0).sum() / len(rows), (first, second)
    cells = (drawn.values["user_interest"] * 11 + drawn.values["item_category"]) * 4 + drawn.values["scenario_id"]
    counts = np.maximum(np.bincount(cells), 1)
    assert (np.bincount(cells, third) ** 2 / counts).sum() / len(rows) > 0.15


def test_low_orders_fall_short(source):
    shares = source.gain_by_order(num_rows=100_000, sweeps=8)
    print("share of the attainable gain by order:", shares)
    assert 0.33 < shares[1] < 0.43
    assert 0.50 < shares[2] < 0.64
    assert shares[3] == 1.0


def test_without_a_third_order_pairs_reach_nearly_all():
    shares = SyntheticCtrRows(third_order=0.0).gain_by_order(num_rows=100_000, sweeps=8)
    assert shares[2] > 0.9 > shares[1]


def test_one_scenario_keeps_three_modulations():
    source = SyntheticCtrRows(num_train=5000, num_validation=1, num_test=1, num_scenarios=1)
    assert len(source._modulators) == 3
    for name, table in source._modulators:
        assert abs(table[:-1]).max() > 0.5, name
    assert next(source.batches()).columns["scenario_id"].to_pylist() == ["0"] * 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_train": 0}, "num_train must be a whole number of at least 1, got 0"),
        ({"click_rate": 1.0}, "click_rate must lie between 0 and 1"),
        ({"third_order": -1.0}, "third_order must be a standard deviation"),
        ({"seed": -3}, "seed must be at least 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SyntheticCtrRows(**arguments)


def test_default_rows_are_those_of_the_first_version():
    """Scenarios of their own tastes were added later, and moved nothing of what was there.

    To six digits: the last bits of NumPy's functions are those of the processor's instructions.
    """
    digest = hashlib.sha256()
    for batch in SyntheticCtrRows(num_train=30_000, num_validation=500, num_test=500).batches():
        for column in batch.columns.columns:
            plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            values = plain.to_pylist()
            if pa.types.is_floating(column.type):
                values = [None if value is None else f"{value:.6g}" for value in values]
            digest.update(repr(values).encode())
    assert digest.hexdigest() == "9e13460ecb7cee82ffa6fc92688f49d771a5d87e61ae4f74112a306c3753c80f"


def test_more_values_carry_the_same_effects_and_are_rarer():
    rows = SyntheticCtrRows(
        num_train=60_000, num_validation=1, num_test=1, num_users=3000, num_items=3000, num_interests=500,
        num_categories=500,
    )  # fmt: skip
    columns = next(rows.batches()).columns
    probability = columns["true_probability"].to_numpy()
    assert abs(probability.mean() - 0.22) < 0.01
    assert abs(area_under_curve(columns["click"].to_numpy(), probability) - 0.80) < 0.01
    for name in ("user_interest", "item_category"):
        counts = np.array([entry["counts"] for entry in pc.value_counts(columns[name]).to_pylist()])
        assert len(counts) > 450 and np.median(counts) < len(probability) / 400


@pytest.mark.parametrize(("count", "ratio"), [(3, 0.5), (10, 0.7), (50, 0.93)])
def test_scenarios_of_unequal_size_with_tastes_of_their_own(count, ratio):
    sizes = {"num_train": 1, "num_validation": 1, "num_test": 1}
    scenarios = {"num_scenarios": count, "scenario_size_ratio": ratio}
    source = SyntheticCtrRows(**sizes, **scenarios, scenario_order=0.85)
    rows = 2**62 + 500_000 + np.arange(120_000)
    drawn = source._draw(rows)
    expected = ratio ** np.arange(count) / (ratio ** np.arange(count)).sum()
    shares = np.bincount(drawn.values["scenario_id"], minlength=count) / len(rows)
    assert np.abs(shares - expected).max() < 0.01 and shares.min() > 0
    assert abs((drawn.terms[:, 3] * source._scales[3]).std() - 0.85) < 0.03
    # The other parts are what they are without it.
    plain = SyntheticCtrRows(**sizes, **scenarios)
    np.testing.assert_array_equal(drawn.terms[:, :3], plain._draw(rows).terms)
    assert plain._draw(rows).terms.shape[1] == 3
    # Whoever does not look at the scenario has none of it: its mean given the rest is 0, and it is not 0 by itself.
    cells = drawn.values["user_interest"] * 11 + drawn.values["item_category"]
    fourth = drawn.terms[:, 3] / drawn.terms[:, 3].std()
    counts = np.maximum(np.bincount(cells), 1)
    assert (np.bincount(cells, fourth) ** 2 / counts).sum() / len(rows) < 3 * len(counts) / len(rows)
    by_scenario = cells * count + drawn.values["scenario_id"]
    counts = np.maximum(np.bincount(by_scenario), 1)
    assert (np.bincount(by_scenario, fourth) ** 2 / counts).sum() / len(rows) > 0.3


def test_bad_scenario_arguments():
    with pytest.raises(ValueError, match="scenario_size_ratio must be above 0 and at most 1, got 1.5"):
        SyntheticCtrRows(scenario_size_ratio=1.5)
    with pytest.raises(ValueError, match="give num_scenarios of at least 2"):
        SyntheticCtrRows(num_scenarios=1, scenario_order=0.5)
