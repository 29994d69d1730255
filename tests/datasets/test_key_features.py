"""Features of any data set get keys without a vocabulary by a setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynctr_tf.datasets import JoinedSources, SyntheticCtrRows, TabularFile
from dynctr_tf.datasets.given_splits import GivenSplits
from dynctr_tf.datasets.key_features import give_keys, schema_with_keys
from dynctr_tf.datasets.one_split import OneSplit
from dynctr_tf.datasets.registry import row_source
from dynctr_tf.schema import Feature, Schema, Vocabulary

SCHEMA = Schema(
    (
        Feature("user", "categorical", vocabulary=Vocabulary(min_count=3)),
        Feature("page", "categorical", role="scenario"),
        Feature("age", "numeric"),
        Feature("item", "categorical", vocabulary=Vocabulary(hash_buckets=10)),
        Feature("seen", "sequence", shares_vocabulary_with="item"),
    ),
    label="click",
)


def keyed(schema: Schema) -> list[str]:
    return [feature.name for feature in schema.features if feature.vocabulary.keys]


def test_all_or_some_features_get_keys() -> None:
    assert keyed(schema_with_keys(SCHEMA, "all")) == keyed(schema_with_keys(SCHEMA, "auto")) == ["user", "item"]
    some = schema_with_keys(SCHEMA, "item")
    assert keyed(some) == ["item"] and some.features[0] == SCHEMA.features[0]
    assert schema_with_keys(some, "auto") is some, "the schema has said which"
    assert keyed(schema_with_keys(some, "user, item")) == ["user", "item"]


def test_what_cannot_have_keys_is_refused() -> None:
    for keys, message in (
        ("users", "Unknown feature in data.keys: 'users'. Did you mean 'user'"),
        ("page", "'page' cannot be keys: it is the scenario"),
        ("age", "'age' cannot be keys: it is numeric"),
        ("seen", "it shares the vocabulary of 'item'"),
    ):
        with pytest.raises(ValueError, match=message):
            schema_with_keys(SCHEMA, keys)
    with pytest.raises(ValueError, match="No feature of the schema can have keys"):
        schema_with_keys(Schema((Feature("age", "numeric"),), label="click"), "all")


def test_sources_of_all_kinds_take_them(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        lines = "\n".join(f"{row % 2},u{row},p,3,i,i" for row in range(30))
        (tmp_path / name).write_text(f"click,user,page,age,item,seen\n{lines}\n", encoding="utf-8")
    sources = [
        TabularFile(tmp_path / "a.csv", SCHEMA),
        GivenSplits(tmp_path / "a.csv", SCHEMA, test_path=tmp_path / "b.csv"),
        row_source("synthetic_ctr", num_train=50),
        JoinedSources([SyntheticCtrRows(num_train=50, seed=seed) for seed in (0, 1)], ("train", "validation", "test")),
    ]
    for source in sources:
        rows = [batch.columns for batch in source.batches()]
        give_keys(source, "all")
        assert keyed(source.schema) and "click" in source.schema.columns
        assert [batch.columns for batch in source.batches()] == rows, "rows do not depend on it"
    with pytest.raises(ValueError, match="The rules of OneSplit cannot be replaced"):
        give_keys(OneSplit(TabularFile(tmp_path / "a.csv", SCHEMA)), "all")
