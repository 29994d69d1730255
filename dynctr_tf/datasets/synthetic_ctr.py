"""Synthetic impressions whose click probability is known, with effects that depend on the row's context."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds

from dynctr_tf.datasets.attainable_gain import gain_of_sum, sigmoid
from dynctr_tf.datasets.key_features import VocabularyRules
from dynctr_tf.datasets.row_hash import hashed_normal, hashed_uniform
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.schema import Feature, Schema

_CHUNK = 65_536
_CALIBRATION_ROWS = 131_072
# Rows from this number on calibrate the logit, and are in no split.
_CALIBRATION_START = 2**62

_NUM_AGES, _NUM_GENDERS, _NUM_BRANDS = 7, 3, 20
_NUM_HOURS, _NUM_WEEKDAYS, _NUM_DEVICES, _NUM_POSITIONS = 24, 7, 4, 6
_NUM_FACTORS = 3
# With `scenario_order`, the values of these fields mean something else in each scenario.
_SCENARIO_FIELDS = ("user_interest", "user_age", "item_category", "hour")

# Share of cells that are missing, by field.
_MISSING = {"user_age": 0.10, "user_interest": 0.05, "item_brand": 0.05, "device": 0.02}
_MISSING_NUMERIC = {"item_price": 0.05, "days_since_last_visit": 0.15}

CATEGORICAL: tuple[str, ...] = (
    "user_id",
    "user_gender",
    "user_age",
    "user_interest",
    "item_id",
    "item_category",
    "item_brand",
    "hour",
    "weekday",
    "device",
    "position",
    "scenario_id",
)
"""The categorical features, in the order in which the TFDS tensor `categorical` has them."""

NUMERIC: tuple[str, ...] = ("item_price", "days_since_last_visit")
"""The numeric features, in the order in which the TFDS tensor `numeric` has them."""

_USER = ("user_id", "user_gender", "user_age", "user_interest")
_ITEM = ("item_id", "item_category", "item_brand")
_STREAMS = {
    name: stream
    for stream, name in enumerate(
        (*CATEGORICAL, *NUMERIC, "click", *(f"missing {name}" for name in (*_MISSING, *_MISSING_NUMERIC)))
    )
}
_TABLES = 1000
"""Streams from this number on make the tables of effects; those below make the rows."""


def synthetic_ctr_schema() -> Schema:
    """Describes the columns of `SyntheticCtrRows`."""

    def role(name: str) -> Any:
        if name == "scenario_id":
            return "scenario"
        return "user" if name in _USER else "item" if name in _ITEM or name == "item_price" else "context"

    return Schema(
        features=(
            *(Feature(name, "categorical", role=role(name)) for name in CATEGORICAL),
            *(Feature(name, "numeric", role=role(name), binning="quantile", num_bins=32) for name in NUMERIC),
        ),
        label="click",
        true_probability="true_probability",
    )


class _Drawn(NamedTuple):
    """Rows before they become text.

    `values` has for each categorical feature the index of its value, the number of its values where missing;
    `numbers` has NaN where missing; `terms` has the terms of the logit by order, unscaled.
    """

    values: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    terms: np.ndarray


def _zipf(size: int, offset: float, exponent: float) -> np.ndarray:
    weights = (np.arange(size) + offset) ** -exponent
    shares: np.ndarray = weights / weights.sum()
    return shares


def _standardised(table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Scales the columns of a table to weighted mean 0 and variance 1; constant columns become 0."""
    weights = weights / weights.sum()
    centred = table - weights @ table
    deviation = np.sqrt(weights @ centred**2)
    scaled: np.ndarray = np.where(deviation > 1e-9, centred / np.maximum(deviation, 1e-9), 0.0)
    return scaled


class SyntheticCtrRows(VocabularyRules):
    """Impressions drawn from a known click probability, in which the context changes what user and item mean.

    When to use: to check a model and its training against the truth; real rows only show which of two models is better.
    Each row keeps its true click probability, so the best attainable AUC and logloss are known.

    Formula: with the user's latent vector u, the item's v and the context's m, each with K = 3 dimensions,

        logit = b + s1 f1 + s2 f2 + s3 f3 + s4 f4
        f1 = sum over the fields j of t_j[x_j]                          (first order)
        f2 = (u^T v) + a[user_age] g(item_price)                        (second order)
        f3 = u^T diag(m) v                                              (third order)
        f4 = sum over some fields j of e^T T_j[x_j] + u^T diag(e) v     (effects of each scenario)
        u  = P[user_interest] + P'[user_age]
        v  = Q[item_category] + Q'[item_brand]
        m  = (cos 2 pi scenario_id / S, cos 2 pi (hour - 20) / 24, D[device])
        e  = E[scenario_id]

    that is u^T W v with W = diag(s2' + s3' m) made anew for each instance from its context. The tables t, P,
    P', Q, Q', D, a, E, T hold normal numbers, g is the standardised logarithm, and a missing value has a row of its
    own in each table. Users, items and contexts are drawn independently, and u, v and m have mean 0 over them. So f3
    has mean 0 given the user and the item, given the user and the context, and given the item and the context: no sum
    of functions of pairs of features, such as a factorization machine of any size, is correlated with it. f4 is 0 by
    default: scenarios then differ in their click rate and in one dimension of f3. With f4, K numbers determine the
    effects of each scenario, so a model can learn one scenario from others. E has mean 0 over the scenarios, so a model
    without the scenario cannot learn f4. The parts are scaled to the given standard deviations, and b is set to the
    given click rate, on 131 072 further rows.

    What each order can reach: `gain_by_order` fits, on true probabilities, the best sum of functions of one
    feature, then of pairs. With the default arguments they reach 39 % and 60 % of the gain in logloss that the
    true probability has over the base rate (fitted on a million rows; seeds 0 to 2 differ by 2 %); f3 alone gives the
    rest. Base rate 0.22; the true probability has AUC 0.80.

    Args:
        num_train: Rows of the train split. Default `200_000`.
        num_validation: Rows of the validation split. Default `28_571`.
        num_test: Rows of the test split. Default `57_143`.
        seed: Of effects and rows. Default 0.
        num_users: Users, drawn with long-tailed frequencies. Default 2000.
        num_items: Items, likewise. Default 300.
        num_interests: Values of `user_interest`, which carries most of u. With more of them each is rarer; the tail
            needs as many users. Default 8.
        num_categories: Values of `item_category`, which carries most of v, likewise. Default 10.
        num_scenarios: Scenarios. Default 3.
        scenario_size_ratio: The rows of a scenario over those of the one before, up to 1 for equal sizes; with
            many scenarios take it near 1, so that the last ones have rows. Default 0.5.
        click_rate: Mean click probability. Default 0.22.
        first_order: s1, the standard deviation of the first-order part in the logit. Default 0.85.
        second_order: s2, likewise. Default 0.65.
        third_order: s3, likewise. Default 0.85.
        scenario_order: s4, likewise. Default 0.0.

    Raises:
        ValueError: A number out of range.

    Cost: about a microsecond per row. Every row is a function of the seed and its number.

    Example:

    >>> rows = SyntheticCtrRows(num_train=100, num_validation=10, num_test=20)
    >>> sum(batch.columns.num_rows for batch in rows.batches())
    130
    """

    def __init__(
        self,
        *,
        num_train: int = 200_000,
        num_validation: int = 28_571,
        num_test: int = 57_143,
        seed: int = 0,
        num_users: int = 2000,
        num_items: int = 300,
        num_interests: int = 8,
        num_categories: int = 10,
        num_scenarios: int = 3,
        scenario_size_ratio: float = 0.5,
        click_rate: float = 0.22,
        first_order: float = 0.85,
        second_order: float = 0.65,
        third_order: float = 0.85,
        scenario_order: float = 0.0,
    ) -> None:
        counts = {
            "num_train": num_train,
            "num_validation": num_validation,
            "num_test": num_test,
            "num_users": num_users,
            "num_items": num_items,
            "num_interests": num_interests,
            "num_categories": num_categories,
            "num_scenarios": num_scenarios,
        }
        for name, count in counts.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {count!r}.")
        if not 0.0 < click_rate < 1.0:
            raise ValueError(f"click_rate must lie between 0 and 1, got {click_rate!r}.")
        if not 0.0 < scenario_size_ratio <= 1.0:
            raise ValueError(f"scenario_size_ratio must be above 0 and at most 1, got {scenario_size_ratio!r}.")
        deviations = {
            "first_order": first_order,
            "second_order": second_order,
            "third_order": third_order,
            "scenario_order": scenario_order,
        }
        for name, deviation in deviations.items():
            if not (math.isfinite(deviation) and deviation >= 0.0):
                raise ValueError(f"{name} must be a standard deviation of at least 0, got {deviation!r}.")
        self.seed = seed
        self.split_sizes = {"train": num_train, "validation": num_validation, "test": num_test}
        self.num_users, self.num_items, self.num_scenarios = num_users, num_items, num_scenarios
        self.num_interests, self.num_categories = num_interests, num_categories
        if scenario_order > 0.0 and num_scenarios == 1:
            raise ValueError("scenario_order is how much scenarios differ; give num_scenarios of at least 2 with it.")
        self.scenario_size_ratio = scenario_size_ratio
        self._schema = synthetic_ctr_schema()
        self._make_population()
        self._make_effects()
        self._scenario_factors = self._make_scenario_effects() if scenario_order > 0.0 else None
        wanted = [first_order, second_order, third_order]
        self._calibrate(np.array(wanted + ([] if self._scenario_factors is None else [scenario_order])), click_rate)

    # The row source

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._schema

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, `"train"` first; the rows come in this order."""
        return tuple(self.split_sizes)

    @property
    def num_rows(self) -> int:
        """How many rows there are over all splits."""
        return sum(self.split_sizes.values())

    @property
    def skipped(self) -> Mapping[str, int]:
        """Empty: no row is left out."""
        return {}

    @property
    def files(self) -> tuple[Path, ...]:
        """None: the rows are drawn."""
        return ()

    def batches(self) -> Iterator[RowBatch]:
        """Draws all rows once."""
        start = 0
        for split, (_, count) in enumerate(self.split_sizes.items()):
            for first in range(start, start + count, _CHUNK):
                rows = np.arange(first, min(first + _CHUNK, start + count))
                yield RowBatch(self._columns(rows), np.full(len(rows), split, np.int8))
            start += count

    # Drawing rows

    def _uniform(self, rows: np.ndarray, stream: int) -> np.ndarray:
        return hashed_uniform(self.seed, rows, stream)

    def _normal(self, size: int, columns: int, table: int) -> np.ndarray:
        return hashed_normal(self.seed, np.arange(size * columns), _TABLES + table).reshape(size, columns)

    def _make_population(self) -> None:
        """Draws the attributes of users and items, and the frequency of each value."""
        users, items = np.arange(self.num_users), np.arange(self.num_items)
        draw = {
            "user_gender": _zipf(_NUM_GENDERS, 1.0, 1.0),
            "user_age": np.array([0.12, 0.22, 0.22, 0.17, 0.12, 0.10, 0.05]),
            "user_interest": _zipf(self.num_interests, 4.0, 0.7),
            "item_category": _zipf(self.num_categories, 4.0, 0.7),
            "item_brand": _zipf(_NUM_BRANDS, 5.0, 0.8),
        }
        self._attributes = {}
        for table, (name, shares) in enumerate(draw.items()):
            owners = users if name in _USER else items
            uniform = self._uniform(owners, _TABLES * 2 + table)
            self._attributes[name] = np.searchsorted(np.cumsum(shares)[:-1], uniform, side="right")
        self._price = np.exp(3.0 + 1.0 * self._normal(self.num_items, 1, 90)[:, 0]).round(2) + 0.5
        hours = 1.2 + np.cos(2 * np.pi * (np.arange(_NUM_HOURS) - 19) / 24)
        sizes = self.scenario_size_ratio ** np.arange(self.num_scenarios)
        self._shares = {
            "user_id": _zipf(self.num_users, 10.0, 0.8),
            "item_id": _zipf(self.num_items, 5.0, 0.8),
            "hour": hours / hours.sum(),
            "weekday": np.full(_NUM_WEEKDAYS, 1 / _NUM_WEEKDAYS),
            "device": np.array([0.55, 0.30, 0.10, 0.05]),
            "position": _zipf(_NUM_POSITIONS, 1.0, 0.6),
            "scenario_id": sizes / sizes.sum(),
        }
        for name, values in self._attributes.items():
            owner = "user_id" if name in _USER else "item_id"
            counted = np.bincount(values, self._shares[owner], minlength=len(draw[name]))
            self._shares[name] = counted
        texts = {name: [str(value) for value in range(len(shares))] for name, shares in self._shares.items()}
        texts["user_id"] = [f"u{value}" for value in range(self.num_users)]
        texts["item_id"] = [f"i{value}" for value in range(self.num_items)]
        texts["user_gender"] = ["f", "m", "x"]
        texts["device"] = ["mobile", "desktop", "tablet", "tv"]
        self._texts = {name: pa.array(values, pa.string()) for name, values in texts.items()}

    def _weights(self, name: str) -> np.ndarray:
        """How often a feature has each value; the last number is for a missing cell."""
        missing = _MISSING.get(name, 0.0)
        return np.append(self._shares[name] * (1.0 - missing), missing)

    def _make_effects(self) -> None:
        """Draws the tables of effects."""
        self._first_order: dict[str, np.ndarray] = {}
        strength = {"user_id": 0.5, "item_id": 0.8, "position": 1.2, "user_interest": 1.0, "item_category": 1.0}
        for table, name in enumerate(CATEGORICAL):
            weights = self._weights(name)
            effect = _standardised(self._normal(len(weights), 1, table), weights)[:, 0]
            self._first_order[name] = effect * strength.get(name, 0.6)

        def latent(name: str, table: int) -> np.ndarray:
            weights = self._weights(name)
            return _standardised(self._normal(len(weights), _NUM_FACTORS, table), weights)

        self._user_factors = {
            "user_interest": latent("user_interest", 20),
            "user_age": 0.6 * latent("user_age", 21),
        }
        self._item_factors = {
            "item_category": latent("item_category", 22),
            "item_brand": 0.6 * latent("item_brand", 23),
        }
        self._price_effect = _standardised(self._normal(_NUM_AGES + 1, 1, 24), self._weights("user_age"))[:, 0]

        hours = np.cos(2 * np.pi * (np.arange(_NUM_HOURS) - 20) / 24)
        scenarios = np.cos(2 * np.pi * np.arange(self.num_scenarios) / self.num_scenarios)
        if self.num_scenarios == 1:
            # A single scenario changes nothing; the time of day, at twice the frequency, takes its dimension.
            twice = np.cos(4 * np.pi * (np.arange(_NUM_HOURS) - 20) / 24)
            modulators = [("hour", twice), ("hour", hours)]
        else:
            modulators = [("scenario_id", scenarios), ("hour", hours)]
        modulators.append(("device", np.array([1.0, -1.0, -0.6, 0.8])))
        # A missing device changes nothing: its row is 0, and the other rows have mean 0.
        self._modulators = [
            (name, np.append(_standardised(values[:, None], self._shares[name])[:, 0], 0.0))
            for name, values in modulators
        ]

        log_price = np.log(self._price)
        mean = self._shares["item_id"] @ log_price
        deviation = np.sqrt(self._shares["item_id"] @ (log_price - mean) ** 2)
        self._price_score = (log_price - mean) / max(float(deviation), 1e-9)

    def _make_scenario_effects(self) -> np.ndarray:
        """Draws the effects of each scenario, and how it changes those of the values of some fields."""
        self._scenario_tables: dict[str, np.ndarray] = {}
        for table, name in enumerate(_SCENARIO_FIELDS):
            weights = self._weights(name)
            self._scenario_tables[name] = _standardised(self._normal(len(weights), _NUM_FACTORS, 40 + table), weights)
        factors = self._normal(self.num_scenarios, _NUM_FACTORS, 30)
        return _standardised(factors, self._shares["scenario_id"])

    def _draw(self, rows: np.ndarray) -> _Drawn:
        values: dict[str, np.ndarray] = {}
        for name in CATEGORICAL:
            if name in self._attributes:
                values[name] = self._attributes[name][values["user_id" if name in _USER else "item_id"]]
            else:
                edges = np.cumsum(self._shares[name])[:-1]
                values[name] = np.searchsorted(edges, self._uniform(rows, _STREAMS[name]), side="right")
        items = values["item_id"]
        for name, share in _MISSING.items():
            missing = self._uniform(rows, _STREAMS[f"missing {name}"]) < share
            values[name] = np.where(missing, len(self._shares[name]), values[name])

        price = self._price[items]
        days = np.floor(-9.0 * np.log1p(-self._uniform(rows, _STREAMS["days_since_last_visit"])))
        numbers = {"item_price": price, "days_since_last_visit": days}
        for name, share in _MISSING_NUMERIC.items():
            missing = self._uniform(rows, _STREAMS[f"missing {name}"]) < share
            numbers[name] = np.where(missing, np.nan, numbers[name])
        no_price, no_days = np.isnan(numbers["item_price"]), np.isnan(numbers["days_since_last_visit"])

        first = sum(table[values[name]] for name, table in self._first_order.items())
        score = np.where(no_price, 0.0, self._price_score[items])
        first = first - 0.6 * score - np.where(no_days, 0.8, 0.6 * np.log1p(days) - 1.1)
        user = sum(table[values[name]] for name, table in self._user_factors.items())
        item = sum(table[values[name]] for name, table in self._item_factors.items())
        both = np.asarray(user) * np.asarray(item)
        second = both.sum(axis=1) + self._price_effect[values["user_age"]] * score
        modulation = np.stack([table[values[name]] for name, table in self._modulators], axis=1)
        third = (both * modulation).sum(axis=1)
        terms = [np.asarray(first), second, third]
        if self._scenario_factors is not None:
            factors = self._scenario_factors[values["scenario_id"]]
            changed = np.asarray(sum(table[values[name]] for name, table in self._scenario_tables.items()))
            terms.append((factors * (changed + both)).sum(axis=1))
        return _Drawn(values, numbers, np.stack(terms, axis=1))

    def _calibrate(self, deviations: np.ndarray, click_rate: float) -> None:
        terms = self._draw(_CALIBRATION_START + np.arange(_CALIBRATION_ROWS)).terms
        spread = terms.std(axis=0)
        self._scales = np.where(spread > 1e-9, deviations / np.maximum(spread, 1e-9), 0.0)
        logits = terms @ self._scales
        low, high = -50.0, 50.0
        for _ in range(60):
            self._bias = 0.5 * (low + high)
            too_high = sigmoid(logits + self._bias).mean() > click_rate
            low, high = (low, self._bias) if too_high else (self._bias, high)

    def _columns(self, rows: np.ndarray) -> pa.RecordBatch:
        drawn = self._draw(rows)
        probability = sigmoid(drawn.terms @ self._scales + self._bias)
        click = self._uniform(rows, _STREAMS["click"]) < probability
        columns = {
            "click": pa.array(click.astype(np.float32)),
            "true_probability": pa.array(probability),
        }
        for name in CATEGORICAL:
            index = drawn.values[name].astype(np.int32)
            indices = pa.array(index, mask=index == len(self._texts[name]))
            columns[name] = pa.DictionaryArray.from_arrays(indices, self._texts[name])
        for name in NUMERIC:
            columns[name] = pa.array(drawn.numbers[name], from_pandas=True)
        return pa.RecordBatch.from_arrays([columns[name] for name in self._schema.columns], list(self._schema.columns))

    # The best attainable figures

    def gain_by_order(self, num_rows: int = 262_144, sweeps: int = 12) -> dict[int, float]:
        """Returns the share of the attainable gain in logloss that the best predictor of each order reaches.

        `scenario_order` counts to the third order. The predictor of order 1 is the logistic function of a sum of
        one free number per value of each feature; that of order 2 has one more for each pair of values of two
        features, except ids: given its attributes, an id has only a first-order effect.
        Numbers are put into 32 bins. Both predictors are fitted to the true probabilities, not to clicks, by Newton
        steps, one table after another, on separate rows, and evaluated on others: 1 - (loss - attainable) / (base -
        attainable).

        Args:
            num_rows: Rows to fit on, and as many to evaluate on. Default `262_144`.
            sweeps: How often each table is fitted. Default 12.

        Returns:
            The share by order: 1, 2, and 3, which is 1 by construction.

        Cost: about a second per sweep for the second order with the default number of rows.

        Reference: our own measure; the parts of different order are uncorrelated by construction.
        """
        drawn = self._draw(_CALIBRATION_START + _CALIBRATION_ROWS + np.arange(2 * num_rows))
        probability = sigmoid(drawn.terms @ self._scales + self._bias)
        fields = {name: (values, len(self._texts[name]) + 1) for name, values in drawn.values.items()}
        for name, numbers in drawn.numbers.items():
            edges = np.quantile(numbers[~np.isnan(numbers)], np.linspace(0, 1, 33)[1:-1])
            binned = np.where(np.isnan(numbers), 32, np.searchsorted(edges, numbers, side="right"))
            fields[name] = (binned, 33)
        tables = list(fields.values())
        attributes = [field for name, field in fields.items() if name not in ("user_id", "item_id")]
        pairs = [
            (first * size_b + second, size_a * size_b)
            for i, (first, size_a) in enumerate(attributes)
            for second, size_b in attributes[:i]
        ]
        return {
            1: gain_of_sum(tables, probability, sweeps),
            2: gain_of_sum(tables + pairs, probability, sweeps),
            3: 1.0,
        }


class SyntheticCtr(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `synthetic_ctr`: the rows of `SyntheticCtrRows`, a row in four tensors.

    When to use: `tfds.load("synthetic_ctr")`, or `/scenarios_3`, `/scenarios_10`, `/scenarios_50`, for reading the
    data set as any other. `SyntheticCtrRows` gives the same rows in columns, without a copy on disk, many times
    faster.

    Features: `categorical`, the texts of the features `CATEGORICAL` in their order, "" where missing;
    `numeric`, the numbers of the features `NUMERIC`, NaN where missing; `click`, 0 or 1; and
    `true_probability`, rounded to float32. The rows of each split are in the order of `SyntheticCtrRows`.

    Example:

    >>> SyntheticCtr.name
    'synthetic_ctr'
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    BUILDER_CONFIGS = [
        RowSourceConfig(name="default", description="Default arguments of SyntheticCtrRows."),
        *(
            RowSourceConfig(
                name=f"scenarios_{count}",
                arguments={"num_scenarios": count, "scenario_size_ratio": ratio, "scenario_order": 0.85},
                description=f"{count} scenarios of unequal size, each with its own effects.",
            )
            for count, ratio in ((3, 0.5), (10, 0.7), (50, 0.93))
        ),
    ]

    DESCRIPTION = "Synthetic impressions whose true click probability is known; see SyntheticCtrRows."
    HOMEPAGE = ""

    def schema(self) -> Schema:
        """What the columns mean."""
        return synthetic_ctr_schema()

    def row_source(self, manual_dir: str | Path = "") -> SyntheticCtrRows:
        """The same rows in columnar batches; no folder is needed."""
        return SyntheticCtrRows(**self.builder_config.arguments)
