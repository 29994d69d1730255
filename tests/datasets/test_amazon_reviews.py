"""Amazon reviews: histories without a future, negatives, splits, both forms of the files, bad rows, real rows."""

import gzip
import json

import numpy as np
import pytest
from original_lines import item_category, user_sequences, write_review_objects, write_user_lines

from dynctr_tf.datasets import BadRowError, amazon_reviews_rows, amazon_reviews_schema, real_rows, row_source


def read(source):
    rows, splits = [], []
    for batch in source.batches():
        rows += batch.columns.to_pylist()
        splits += batch.splits.tolist()
    return rows, np.array(splits)


@pytest.mark.parametrize("form", ["python", "json", "lines"])
def test_rows_are_the_reviews(tmp_path, form):
    sequences = user_sequences()
    path = write_user_lines(tmp_path, sequences)
    if form != "lines":
        path = write_review_objects(tmp_path, sequences, python=form == "python")
    source = amazon_reviews_rows(path, history_length=4, user_ids=True)
    rows, splits = read(source)
    found = {}
    for row, split in zip(rows, splits, strict=True):
        found.setdefault(row["user_id"], []).append((row, split))
        assert row["category"] == item_category(row["item_id"])
        assert row["history_categories"] == [item_category(item) for item in row["history_items"]]
    assert found.keys() == sequences.keys()
    for user, items in sequences.items():
        own = found[user]
        assert len(own) == 2 * (len(items) - 1)
        for place, (positive, negative) in enumerate(zip(own[::2], own[1::2], strict=True), start=1):
            # The history ends before the target, and is the same for both.
            assert positive[0]["reviewed"] == 1.0 and positive[0]["item_id"] == items[place]
            assert positive[0]["history_items"] == negative[0]["history_items"] == items[max(0, place - 4) : place]
            assert negative[0]["reviewed"] == 0.0 and negative[0]["item_id"] not in items
            left = len(items) - 1 - place
            assert positive[1] == negative[1] == (2 if left == 0 else 1 if left == 1 else 0)
    assert source.split_names == ("train", "validation", "test") and source.skipped == {}


def test_both_forms_give_the_same_rows(tmp_path):
    sequences = user_sequences()
    rows, _ = read(amazon_reviews_rows(write_user_lines(tmp_path, sequences)))
    # Users come in the order of the file, which is another here.
    others, _ = read(amazon_reviews_rows(write_review_objects(tmp_path, sequences)))

    def positives(found):
        return sorted(json.dumps(row) for row in found if row["reviewed"])

    assert positives(rows) == positives(others) and "user_id" not in rows[0]


def test_same_seed_same_rows(tmp_path):
    path = write_user_lines(tmp_path, user_sequences())
    path.with_suffix(".txt.gz").write_bytes(gzip.compress(path.read_bytes()))
    rows, _ = read(amazon_reviews_rows(path, seed=1, num_negatives=3))
    again, _ = read(amazon_reviews_rows(path.with_suffix(".txt.gz"), seed=1, num_negatives=3))
    other, _ = read(amazon_reviews_rows(path, seed=2, num_negatives=3))
    assert rows == again and rows != other
    for place in range(0, len(rows), 4):
        assert len({row["item_id"] for row in rows[place : place + 4]}) == 4


def test_only_the_newest_reviews_are_targets(tmp_path):
    sequences = user_sequences()
    path = write_user_lines(tmp_path, sequences)
    rows, splits = read(amazon_reviews_rows(path, max_targets=3))
    every, every_split = read(amazon_reviews_rows(path))
    assert len(rows) == 2 * sum(min(3, len(items) - 1) for items in sequences.values()) < len(every)
    assert splits[::2].tolist().count(2) == every_split[::2].tolist().count(2) == len(sequences)
    positives = [row for row in rows if row["reviewed"]]
    expected = [
        (items[max(0, place - 50) : place], items[place])
        for items in sequences.values()
        for place in range(max(1, len(items) - 3), len(items))
    ]
    assert [(row["history_items"], row["item_id"]) for row in positives] == expected
    with pytest.raises(ValueError, match="max_targets must be at least 3"):
        amazon_reviews_rows(path, max_targets=2)


def test_repeated_reviews_and_items_without_category(tmp_path):
    path = tmp_path / "Garden.txt"
    path.write_text("u a b a c\nv a c d\nw e\n")
    (tmp_path / "Garden_item2attributes.json").write_text(json.dumps({"a": [4, 1], "b": [], "d": [2]}))
    source = amazon_reviews_rows(path)
    rows, splits = read(source)
    assert source.skipped == {"review of the same item is repeated": 1}
    positives = [row for row in rows if row["reviewed"]]
    assert [(row["history_items"], row["item_id"], row["category"]) for row in positives] == [
        (["a"], "b", "(none)"),
        (["a", "b"], "c", "(none)"),
        (["a"], "c", "(none)"),
        (["a", "c"], "d", "2"),
    ]
    assert positives[3]["history_categories"] == ["4", "(none)"]
    assert splits.tolist() == [1, 1, 2, 2, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("bad", "column", "reason"),
    [
        ("no object", None, "the row is not a JSON object"),
        ("[1, 2]", None, "the row is not a JSON object"),
        ('{"reviewerID": "u", "asin": "i"', None, "the row is not a JSON object"),
        ('{"reviewerID": "u", "asin": "i"}', "unixReviewTime", "unixReviewTime is missing or wrong"),
        ('{"reviewerID": "u", "asin": 5, "unixReviewTime": 3}', "asin", "asin is missing or wrong"),
        ('{"reviewerID": "", "asin": "i", "unixReviewTime": 3}', "reviewerID", "reviewerID is missing or wrong"),
        ('{"reviewerID": "u", "asin": "i", "unixReviewTime": "3"}', "unixReviewTime", "unixReviewTime is missing"),
    ],
)
def test_bad_review_is_named_or_skipped(tmp_path, bad, column, reason):
    path = write_review_objects(tmp_path, user_sequences())
    expected, _ = read(amazon_reviews_rows(path))
    lines = path.read_text().splitlines()
    lines.insert(20, bad)
    path.write_text("\n".join(lines))
    with pytest.raises(BadRowError) as caught:
        amazon_reviews_rows(path)
    assert (caught.value.line, caught.value.column) == (21, column) and caught.value.reason.startswith(reason)
    source = amazon_reviews_rows(path, on_bad_row="skip")
    assert read(source)[0] == expected and list(source.skipped.values()) == [1]


def test_bad_user_line_and_bad_metadata(tmp_path):
    sequences = user_sequences()
    path = write_user_lines(tmp_path, sequences)
    path.write_text("alone\n" + path.read_text())
    with pytest.raises(BadRowError, match="Garden.txt, line 1: expected a user and at least one item"):
        amazon_reviews_rows(path)
    assert amazon_reviews_rows(path, on_bad_row="skip").skipped == {"too few columns": 1}
    attributes = tmp_path / "Garden_item2attributes.json"
    attributes.write_text("[1, 2]")
    with pytest.raises(ValueError, match="expected one JSON object of item to attributes"):
        amazon_reviews_rows(path, on_bad_row="skip")
    attributes.write_text(json.dumps({item: 5 for items in sequences.values() for item in items}))
    with pytest.raises(ValueError, match="expected a list of attributes"):
        amazon_reviews_rows(path, on_bad_row="skip")
    reviews = write_review_objects(tmp_path, sequences)
    meta = tmp_path / "meta_Garden.json"
    wanted = sequences["U0"][0]
    # A call is no literal: it is not run, it is a bad row.
    meta.write_text(f"{{'asin': '{wanted}', 'categories': print('run')}}\n" + meta.read_text())
    with pytest.raises(BadRowError, match="meta_Garden.json, line 1, column 'asin'"):
        amazon_reviews_rows(reviews)
    meta.unlink()
    attributes.unlink()
    with pytest.raises(ValueError, match="There is no meta_Garden.json or Garden_item2attributes.json .*metadata="):
        amazon_reviews_rows(reviews)


def test_wrong_arguments(tmp_path):
    path = write_user_lines(tmp_path, user_sequences())
    with pytest.raises(ValueError, match="Did you mean 'frequency'"):
        amazon_reviews_rows(path, negatives_by="frequence")
    with pytest.raises(ValueError, match="max_length of feature 'history_items' must be at least 1"):
        amazon_reviews_rows(path, history_length=0)
    with pytest.raises(ValueError, match="Unknown option of data set 'amazon_reviews'.*Did you mean 'num_negatives'"):
        row_source("amazon_reviews", path=path, num_negative=2)
    path.write_text("u a\nv b\n")
    with pytest.raises(ValueError, match="no user has two reviews"):
        amazon_reviews_rows(path)


def test_schema():
    schema = amazon_reviews_schema(history_length=9, user_ids=True, min_count=2)
    assert schema.columns == ("reviewed", "user_id", "item_id", "category", "history_items", "history_categories")
    assert [feature.role for feature in schema.features] == ["user", "item", "item", "user", "user"]
    assert schema.feature("history_categories").shares_vocabulary_with == "category"
    assert schema.feature("history_items").max_length == 9
    assert amazon_reviews_schema().columns[1] == "item_id"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("domain", "users", "reviews"), [("Beauty", 22_363, 198_502), ("Toys_and_Games", 19_412, 167_597)]
)
def test_real_rows(domain, users, reviews):
    try:
        path = real_rows("amazon_s3rec", f"{domain}.txt.gz")
    except ValueError as error:
        pytest.skip(str(error))
    source = amazon_reviews_rows(path)
    assert source.num_rows == 2 * (reviews - users) and source.skipped == {}
    splits = np.concatenate([batch.splits for batch in source.batches()])
    assert np.bincount(splits).tolist() == [2 * (reviews - 3 * users), 2 * users, 2 * users]
    columns = next(iter(source.batches())).columns
    assert "(none)" not in columns.column("category").to_pylist()
