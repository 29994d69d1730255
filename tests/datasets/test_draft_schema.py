"""Drafted schemas, and the command that writes them."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dynctr_tf.datasets import TabularFile, draft_schema
from dynctr_tf.schema import Schema
from pipelines import schema as command


@pytest.fixture
def clicks(tmp_path):
    generator = np.random.default_rng(0)
    lines = [
        "request,user_id,userCity,item_id,hist_item_id,tags,price,visits,hour,timestamp,surface,"
        "constant,weight,is_click"
    ]
    for row in range(3000):
        items = generator.integers(0, 50, 4)
        tags = "|".join(f"t{tag}" for tag in generator.integers(0, 9, 3))
        visits = int(np.exp(generator.random() * 9))
        price = "" if row % 10 == 0 else f"{generator.random() * 30:.2f}"
        lines.append(
            f"r{row},{generator.integers(0, 2000)},c{row % 7},{items[0]},"
            f"{items[1]};{items[2]};{items[3]},{tags},{price},"
            f"{visits},{row % 24},{1_700_000_000 + row},home{row % 3},x,{1 + row % 2},{int(generator.random() < 0.25)}"
        )
    path = tmp_path / "clicks.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_kinds_and_roles(clicks):
    draft = draft_schema(clicks)
    found = {entry.name: (entry.kind, entry.role) for entry in draft.columns}
    assert found == {
        "request": ("left out", ""),
        "user_id": ("categorical", "user"),
        "userCity": ("categorical", "user"),
        "item_id": ("categorical", "item"),
        "hist_item_id": ("sequence", "item"),
        "tags": ("multi_valued", "context"),
        "price": ("numeric", "item"),
        "visits": ("numeric", "context"),
        "hour": ("categorical", "context"),
        "timestamp": ("left out", ""),
        "surface": ("categorical", "scenario"),
        "constant": ("left out", ""),
        "weight": ("weight", ""),
        "is_click": ("label", ""),
    }
    assert (draft.schema.label, draft.schema.weight) == ("is_click", "weight")
    history = draft.schema.feature("hist_item_id")
    assert (history.separator, history.shares_vocabulary_with) == (";", "item_id")
    assert draft.schema.feature("visits").binning == "log_squared"
    assert draft.schema.feature("price").binning == "quantile"
    assert draft.schema.feature("user_id").vocabulary.min_count == 5
    price = next(entry for entry in draft.columns if entry.name == "price")
    assert abs(price.missing - 0.1) < 1e-9
    assert draft.num_rows == 3000 and draft.num_left_out == 0


def test_the_draft_reads_the_file(clicks):
    schema = Schema.from_json(draft_schema(clicks).schema.to_json())
    source = TabularFile(clicks, schema)
    assert sum(batch.columns.num_rows for batch in source.batches()) == 3000


def test_parquet_and_label_by_argument(tmp_path):
    table = pa.table(
        {
            "ad_id": [1, 2, 3, 4] * 50,
            "genres": [["a", "b"], ["a"], [], ["c"]] * 50,
            "when": pa.array([1, 2, 3, 4] * 50, pa.timestamp("s")),
            "scenario": ["x", "y"] * 100,
            "won": np.random.default_rng(0).random(200) < 0.5,
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="that could be one: 'won'.\n.*rows.parquet --label"):
        draft_schema(tmp_path / "rows.parquet")
    draft = draft_schema(tmp_path / "rows.parquet", label="won")
    assert {entry.name: entry.kind for entry in draft.columns} == {
        "ad_id": "categorical",
        "genres": "multi_valued",
        "when": "left out",
        "scenario": "categorical",
        "won": "label",
    }
    source = TabularFile(tmp_path / "rows.parquet", draft.schema)
    assert sum(batch.columns.num_rows for batch in source.batches()) == 200
    with pytest.raises(ValueError, match="Did you mean 'won'"):
        draft_schema(tmp_path / "rows.parquet", label="wonn")
    with pytest.raises(ValueError, match="--label ad_id --positive '>= 4'"):
        draft_schema(tmp_path / "rows.parquet", label="ad_id")


def test_files_that_give_no_draft(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        draft_schema(tmp_path / "none.csv")
    empty = tmp_path / "empty.csv"
    for text, message in (("", "the file is empty"), ("\n", "the file is empty"), ("a,click\n", "no usable row")):
        empty.write_text(text)
        with pytest.raises(ValueError, match=message):
            draft_schema(empty)
    empty.write_text("a,click\nx,1\nx,0\n")
    with pytest.raises(ValueError, match="no column makes a feature. 'a': the same value"):
        draft_schema(empty)


def test_rows_of_another_width_are_counted(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,click\n" + "x,1\ny,0\n" * 4 + "short\nx,1,long\n")
    draft = draft_schema(path)
    assert (draft.num_rows, draft.num_left_out) == (8, 2)
    path.write_text("a,click\n" + "x,1\ny,0\n" * 4 + "short\nx,1,long\n" * 4)
    with pytest.raises(ValueError, match="line 10: the row has 1 columns, expected 2. 8 of 16 rows looked at are bad"):
        draft_schema(path)


def test_command_writes_prints_and_does_not_overwrite(clicks, capsys):
    written = clicks.with_name("clicks.schema.json")
    assert command.main([str(clicks)]) == 0
    printed = capsys.readouterr().out
    assert "hist_item_id" in printed and 'role by "user"' in printed and "3,000 rows" in printed
    assert Schema.load(written) == draft_schema(clicks).schema
    written.write_text("mine")
    assert command.main([str(clicks)]) == 2
    assert "--force" in capsys.readouterr().err and written.read_text() == "mine"
    assert command.main([str(clicks), "--force", "--label", "is_click"]) == 0
    assert Schema.load(written).label == "is_click"
    assert command.main([str(clicks), "--output", str(clicks.with_name("b.json")), "--label", "clik"]) == 2
    assert "is_click" in capsys.readouterr().err and not clicks.with_name("b.json").exists()
