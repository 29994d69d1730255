"""Data sets by name."""

import pytest

from dynctr_tf.datasets import ROW_SOURCES, SyntheticCtrRows, TabularFile, row_source, row_source_options
from dynctr_tf.schema import Feature, Schema


def test_names_and_options():
    known = {"amazon_reviews", "criteo_display_ads", "movielens_1m", "movielens_tag", "synthetic_ctr", "tabular_file"}
    assert set(ROW_SOURCES) >= known and list(ROW_SOURCES) == sorted(ROW_SOURCES)
    assert row_source_options("synthetic_ctr")["num_train"] == 200_000
    assert isinstance(row_source("synthetic_ctr", num_train=10), SyntheticCtrRows)


def test_schema_may_be_a_path(tmp_path):
    schema = Schema((Feature("a", "categorical"),), label="y")
    schema.save(tmp_path / "schema.json")
    (tmp_path / "rows.csv").write_text("a,y\nq,1\n")
    for given in (schema, tmp_path / "schema.json", str(tmp_path / "schema.json")):
        source = row_source("tabular_file", path=tmp_path / "rows.csv", schema=given)
        assert isinstance(source, TabularFile) and source.schema == schema


def test_unknown_names_and_missing_options():
    with pytest.raises(ValueError, match="Did you mean 'synthetic_ctr'"):
        row_source("sintetic_ctr")
    with pytest.raises(ValueError, match="Unknown option of data set 'synthetic_ctr'.*Did you mean 'num_train'"):
        row_source("synthetic_ctr", num_trian=3)
    with pytest.raises(ValueError, match="needs the option.s. path"):
        row_source("criteo_display_ads", split_by="order")
