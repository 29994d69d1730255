"""The schema: what it refuses, and its round trip through JSON."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest

from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field
from dynctr_tf.encoding.feature_encoder import describe_encoding
from dynctr_tf.schema import Feature, Schema, Vocabulary, positive_rule


def full_schema() -> Schema:
    return Schema(
        features=(
            Feature("user", "categorical", role="user", vocabulary=Vocabulary(min_count=3, max_size=100)),
            Feature("item", "categorical", role="item", vocabulary=Vocabulary(hash_buckets=50)),
            Feature("age", "numeric", role="user", binning="quantile", num_bins=10),
            Feature("tags", "multi_valued", separator=" ", max_length=4),
            Feature("history", "sequence", role="user", shares_vocabulary_with="item", max_length=20),
            Feature("page", "categorical", role="scenario"),
        ),
        label="click",
        weight="w",
        true_probability="p",
    )


def test_json_round_trip(tmp_path: Path) -> None:
    schema = full_schema()
    schema.save(tmp_path / "schema.json")
    assert Schema.load(tmp_path / "schema.json") == schema
    assert schema.columns == ("click", "w", "p", "user", "item", "age", "tags", "history", "page")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"label": "y"}', "lacks 'features'"),
        ('{"label": "y", "features": []}', "at least one feature"),
        ('{"label": "y", "features": [{"name": "a", "kind": "categoric"}]}', "Did you mean 'categorical'"),
        (
            '{"label": "y", "features": [{"name": "a", "kind": "numeric", "bining": "quantile"}]}',
            "Did you mean 'binning'",
        ),
        ('{"label": "y", "features": [{"name": "a", "kind": "numeric", "role": "usr"}]}', "Did you mean 'user'"),
        ('{"label": "a", "features": [{"name": "a", "kind": "numeric"}]}', "more than once"),
        ('{"label": "y", "features": [{"name": "a", "kind": "numeric", "role": "scenario"}]}', "must be a categorical"),
        (
            '{"label": "y", "features": [{"name": "a", "kind": "categorical", "vocabulary": {"min_cuont": 2}}]}',
            "min_count",
        ),
        (
            '{"label": "y", "features": [{"name": "a", "kind": "categorical", "vocabulary": {"min_count": 0}}]}',
            "at least 1",
        ),
        ('{"label": "y", "features": [{"name": "a", "kind": "sequence", "shares_vocabulary_with": "b"}]}', "'b'"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "my.schema.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        Schema.load(path)
    assert "my.schema.json" in str(caught.value)


def test_two_scenarios_are_refused() -> None:
    with pytest.raises(ValueError, match="At most one feature may have the role 'scenario'"):
        Schema((Feature("a", "categorical", role="scenario"), Feature("b", "categorical", role="scenario")), label="y")


def test_hashing_excludes_a_vocabulary() -> None:
    with pytest.raises(ValueError, match="either hash_buckets"):
        Vocabulary(hash_buckets=10, min_count=2)


def test_encoded_features_round_trip_and_positions() -> None:
    features = EncodedFeatures(
        fields=(
            Field("user", "user", 1, 10),
            Field("item", "item", 11, 5),
            Field("tags", "context", 16, 4, max_values=3),
        ),
        sequences=(EncodedSequence("history", "user", 8, 11, 5, field="item"),),
        num_scenarios=4,
    )
    assert EncodedFeatures.from_json(features.to_json()) == features
    assert features.num_ids == 20
    assert features.positions(role="item") == [1]
    assert features.positions(names=["tags", "user"]) == [0, 2]
    with pytest.raises(ValueError, match="Did you mean 'item'"):
        features.positions(names=["items"])


def test_multi_valued_fields_come_last() -> None:
    with pytest.raises(ValueError, match="come last"):
        EncodedFeatures(fields=(Field("tags", "context", 1, 4, max_values=3), Field("user", "user", 5, 10)))


def test_scenario_partition_is_declared_or_the_scenario_alone() -> None:
    fields = (Field("page", "scenario", 1, 4), Field("item", "item", 5, 9), Field("slot", "context", 14, 3))
    features = EncodedFeatures(fields, (EncodedSequence("clicks", "user", 3, 17, 4),), num_scenarios=4)
    assert features.scenario_partition() == ([0], [1, 2, 3])
    assert features.scenario_partition(["clicks", "slot"]) == ([2, 3], [0, 1])
    assert features.scenario_partition([]) == ([], [0, 1, 2, 3])
    assert "scenario_specific" not in features.to_json()
    declared = EncodedFeatures((*fields[:2], Field("slot", "context", 14, 3, scenario_specific=True)))
    assert declared.scenario_partition() == ([0, 2], [1])
    assert EncodedFeatures.from_json(declared.to_json()) == declared
    with pytest.raises(ValueError, match="Did you mean 'clicks'"):
        features.scenario_partition(["click"])


def test_declared_partition_reaches_the_models() -> None:
    schema = Schema(
        (Feature("slot", "categorical", scenario_specific=True), Feature("page", "categorical", role="scenario")), "y"
    )
    assert Schema.from_json(schema.to_json()) == schema
    encoded = describe_encoding(schema, {"slot": 3, "page": 2})
    assert encoded.scenario_partition() == ([0, 1], [])
    with pytest.raises(ValueError, match="true or false"):
        Feature("slot", "categorical", scenario_specific=1)  # type: ignore[arg-type]


def test_the_ways_to_read_labels_and_lists_go_through_json() -> None:
    features = (Feature("tags", "multi_valued", list_format="brackets"), Feature("seen", "sequence", separator="\x01"))
    for schema in (
        Schema(features, "y", positive=">= 4", missing_values=("", "NULL", "\\N")),
        Schema(features, "clicks", impressions="shown", weight="w", missing_values=()),
        Schema(features, "p", soft_label=True),
    ):
        assert Schema.from_json(schema.to_json()) == schema
    schema = Schema(features, "clicks", impressions="shown", weight="w")
    assert schema.file_columns == ("clicks", "w", "shown", "tags", "seen")
    assert schema.columns == ("clicks", "w", "tags", "seen") and schema.row_weight == "w" and schema.has_soft_labels
    schema = Schema(features, "clicks", impressions="shown")
    assert schema.columns == schema.file_columns == ("clicks", "shown", "tags", "seen")
    assert schema.row_weight == "shown"
    assert list(json.loads(schema.to_json())) == ["label", "impressions", "features"]


@pytest.mark.parametrize(
    ("positive", "rule"),
    [
        ("yes", (None, None, "yes")),
        (" 1 ", (None, 1.0, "1")),
        (">= 4", (">=", 4.0, "")),
        (">0", (">", 0.0, "")),
        ("< 3.5", ("<", 3.5, "")),
        ("<=-1e2", ("<=", -100.0, "")),
        ("== 5", ("==", 5.0, "")),
        ("!= 0", ("!=", 0.0, "")),
        ("=> 4", (None, None, "=> 4")),
    ],
)
def test_what_counts_as_a_click(positive: str, rule: tuple[object, ...]) -> None:
    assert tuple(positive_rule(positive)) == rule


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('"positive": ">= four"', "positive must compare with a number, such as \">= 4\".*got '>= four'"),
        ('"positive": ">="', "positive must compare with a number"),
        ('"positive": "> 1e999"', "positive must compare with a number"),
        ('"positive": "  "', "positive must be a non-empty text"),
        ('"positive": 1', "positive must be a text, got int: 1"),
        ('"soft_label": 1', "soft_label must be true or false, got 1"),
        ('"impressions": 5', "impressions must be a text, got int: 5"),
        ('"impressions": "n", "soft_label": true', "one way: give one of impressions, soft_label"),
        ('"impressions": "y"', r"named more than once in the schema: \['y'\]"),
        ('"weight": ["w"]', "weight must be a text, got list"),
        ('"missing_values": "NULL"', r"missing_values must be a list of texts.*got str: \'NULL\'"),
        ('"missing_values": [null]', "text of missing_values must be a text, got NoneType"),
        ('"weight": "w", "weight": "v"', "gives a key twice in one object: 'weight'"),
        ('"positiv": "yes"', "Did you mean 'positive'"),
        ('"features": 5', "features must be a list of features, got 5"),
        ('"features": {"name": "a", "kind": "numeric"}', "features must be a list of features"),
        ('"features": [5]', "an entry of features must be a JSON object, got int: 5"),
        ('"features": [{"name": 5, "kind": "numeric"}]', "A feature's name must be a text, got int: 5"),
        ('"features": [{"name": "a", "kind": ["numeric"]}]', "kind of feature 'a' must be one of categorical"),
        ('"features": [{"name": "a", "kind": "sequence", "separator": 5}]', "separator of feature 'a' must be a text"),
        ('"features": [{"name": "a", "kind": "sequence", "max_length": 1e3}]', "max_length of feature 'a' must be a"),
        ('"features": [{"name": "a", "kind": "sequence", "max_length": 1000000000000}]', "at most 1048576"),
        ('"features": [{"name": "a", "kind": "numeric", "vocabulary": null}]', "vocabulary of feature 'a' must be a"),
        ('"features": [{"name": "a", "kind": "sequence", "list_format": "bracket"}]', "Did you mean 'brackets'"),
        ('"features": [{"name": "a", "kind": "numeric", "list_format": "brackets"}]', "must be left out"),
        ('"features": [{"name": "\\ud800", "kind": "numeric"}]', "a text that UTF-8 can hold"),
    ],
)
def test_every_value_is_checked_for_its_type(fields: str, message: str) -> None:
    features = "" if '"features"' in fields else ', "features": [{"name": "a", "kind": "numeric"}]'
    with pytest.raises(ValueError, match=message):
        Schema.from_json('{"label": "y", ' + fields + features + "}")


def test_damaged_schema_files_are_answered_by_messages(tmp_path: Path) -> None:
    """Values of wrong types in every place, and texts cut or changed at random: a schema or a `ValueError`."""
    whole = json.loads(full_schema().to_json())
    whole.update(missing_values=["", "-"], positive="> 0")
    whole["features"][3]["list_format"] = "brackets"
    odd = [5, -1, 1.5, True, None, "", "x", "\ud800", [], [5], [None], {}, {"a": 1}, [[]], 10**40, float("nan")]
    places = [(whole, key) for key in whole]
    for feature in whole["features"]:
        places += [(feature, key) for key in feature]
        places += [(feature["vocabulary"], key) for key in feature.get("vocabulary", {})]
    refused = tried = 0
    for holder, key in places:
        right = holder[key]
        for value in odd:
            holder[key] = value
            tried += 1
            try:
                assert Schema.from_json(Schema.from_json(json.dumps(whole)).to_json()).file_columns
            except ValueError as error:
                refused += 1
                # A value of a wrong type is named by its key.
                assert isinstance(value, str) or key in str(error), (key, value, error)
        holder[key] = right
    assert tried > 500 and refused > 0.8 * tried
    text = full_schema().to_json()
    random = np.random.default_rng(0)
    for _ in range(300):
        place, cut = random.integers(len(text)), random.integers(1, 9)
        changed = text[:place] + random.choice(["", "{", "]", '"', "5", "null,", "\\", "\ud800"]) + text[place + cut :]
        with contextlib.suppress(ValueError):
            Schema.from_json(changed)
    with pytest.raises(ValueError, match="nested too deeply"):
        Schema.from_json("[" * 100_000)
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        Schema.load(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes('{"label": "é"}'.encode("latin-1"))
    with pytest.raises(ValueError, match="latin.json"):
        Schema.load(tmp_path / "latin.json")
    (tmp_path / "marked.json").write_text("\ufeff" + text, encoding="utf-8")
    assert Schema.load(tmp_path / "marked.json") == full_schema()
