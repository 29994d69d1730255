"""The schema: what it refuses, and its round trip through JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynctr_tf.encoding.encoded_features import EncodedFeatures, Field, Sequence
from dynctr_tf.encoding.feature_encoder import describe_encoding
from dynctr_tf.schema import Feature, Schema, Vocabulary


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
        ('{"label": "y", "features": [{"name": "fields", "kind": "numeric"}]}', "cannot name a feature"),
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
        sequences=(Sequence("history", "user", 8, 11, 5, field="item"),),
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
    features = EncodedFeatures(fields, (Sequence("clicks", "user", 3, 17, 4),), num_scenarios=4)
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
