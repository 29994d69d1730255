"""Ali-CCP's files: skeleton and common features joined, splits, bad rows, the builder."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from scenario_lines import ali_ccp_features, ali_ccp_files

from dynctr_tf.datasets import AliCcpRows, BadRowError, ali_ccp, ali_ccp_schema, text_rows
from dynctr_tf.datasets.ali_ccp import BEHAVIOUR, COMBINATION, DOMAIN, INTENTION, ITEM, PROFILE


def by_hand(meant, limit):
    """Looks up each field of a row in a loop."""
    row = {}
    for fields, pairs in ((PROFILE, meant["common"]), ((*ITEM, *COMBINATION, DOMAIN), meant["own"])):
        for field in fields:
            row[f"f{field}"] = next((number for name, number, _ in pairs if name == field), None)
    for fields, pairs in ((BEHAVIOUR, meant["common"]), ((INTENTION,), meant["own"])):
        for field in fields:
            row[f"f{field}"] = [number for name, number, _ in pairs if name == field][:limit]
    for field in COMBINATION:
        row[f"value_{field}"] = next((float(value) for name, _, value in meant["own"] if name == field), None)
    return row


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("label", ["click", "purchase"])
def test_rows_are_the_joined_lines(tmp_path, monkeypatch, compressed, label):
    monkeypatch.setattr(text_rows, "_BLOCK_BYTES", 4096)
    monkeypatch.setattr(ali_ccp, "_COMMON_ROWS", 3)
    meant = ali_ccp_files(tmp_path, 200, compressed=compressed)
    source = AliCcpRows(tmp_path, label=label, max_length=4)
    found, splits = [], []
    for _ in range(2):  # a source can be read again
        found, splits = [], []
        for batch in source.batches():
            assert tuple(batch.columns.schema.names) == source.schema.columns
            found += batch.columns.to_pylist()
            splits += batch.splits.tolist()
    assert len(found) == source.num_rows == 400 and source.skipped == {}
    for row, expected in zip(found, meant["train"] + meant["test"], strict=True):
        assert row == {label: expected[label], **by_hand(expected, 4)}
    assert set(splits[:200]) == {0, 1} and set(splits[200:]) == {2}
    assert 5 <= np.bincount(splits)[1] <= 40


def spoil(directory, file, line, change):
    path = directory / file
    lines = path.read_text().split("\n")
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines))


def cell(position, value):
    def change(line):
        cells = line.split(",")
        cells[position] = value(cells[position]) if callable(value) else value
        return ",".join(cells)

    return change


BAD = [
    ("sample_skeleton_train.csv", cell(1, "2"), "click", "click is not 0 or 1"),
    (
        "sample_skeleton_train.csv",
        lambda line: cell(1, "0")(cell(2, "1")(line)),
        "purchase",
        "purchase without click",
    ),
    ("sample_skeleton_train.csv", lambda line: line.rsplit(",", 1)[0], None, "too few columns"),
    ("sample_skeleton_train.csv", cell(4, "99"), "num_features", "num_features is not their number"),
    (
        "sample_skeleton_train.csv",
        cell(5, lambda text: text.replace("\x03", "", 1)),
        "features",
        "features are malformed",
    ),
    (
        "sample_skeleton_train.csv",
        cell(3, "unheard of"),
        "common_feature_index",
        "common_feature_index is not among the common features",
    ),
    (
        "sample_skeleton_train.csv",
        lambda line: cell(4, "1")(cell(5, ali_ccp_features([("508", "7", "much")]))(line)),
        "features",
        "a value is not a number",
    ),
]


@pytest.mark.parametrize(("file", "change", "column", "reason"), BAD, ids=[case[3] for case in BAD])
def test_bad_row_is_named_or_counted(tmp_path, file, change, column, reason):
    ali_ccp_files(tmp_path, 60)
    spoil(tmp_path, file, 31, change)
    with pytest.raises(BadRowError) as caught:
        list(AliCcpRows(tmp_path).batches())
    assert (caught.value.line, caught.value.column, caught.value.reason) == (31, column, reason)
    assert file in caught.value.path
    source = AliCcpRows(tmp_path, on_bad_row="skip")
    assert sum(batch.columns.num_rows for batch in source.batches()) == 119
    assert source.skipped == {reason: 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (cell(1, "3"), "num_features is not their number"),
        (cell(2, "nonsense"), "features are malformed"),
        (cell(0, "ctrain00000000000000"), "common_feature_index comes again"),
        (lambda line: line.split(",")[0], "too few columns"),
    ],
)
def test_bad_common_features_take_their_rows_along(tmp_path, change, reason):
    meant = ali_ccp_files(tmp_path, 60)
    spoil(tmp_path, "common_features_train.csv", 2, change)
    with pytest.raises(BadRowError) as caught:
        list(AliCcpRows(tmp_path).batches())
    assert (caught.value.line, caught.value.reason) == (2, reason)
    source = AliCcpRows(tmp_path, on_bad_row="skip")
    rows = sum(batch.columns.num_rows for batch in source.batches())
    lost = sum({f: n for f, n, _ in row["common"]}["101"] == "train1011" for row in meant["train"])
    assert lost > 0 and rows == 120 - lost
    assert source.skipped == {
        f"common features: {reason}": 1,
        "common_feature_index is not among the common features": lost,
    }


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="There is no common_features_train.csv"):
        AliCcpRows(tmp_path)
    ali_ccp_files(tmp_path, 3)
    with pytest.raises(ValueError, match="validation_share must lie between 0 and 1"):
        AliCcpRows(tmp_path, validation_share=1.0)
    with pytest.raises(ValueError, match="Did you mean 'purchase'"):
        ali_ccp_schema(label="purchas")


def test_builder(tmp_path):
    (tmp_path / "manual").mkdir()
    ali_ccp_files(tmp_path / "manual", 40)
    options = {"download_config": tfds.download.DownloadConfig(manual_dir=str(tmp_path / "manual"))}
    datasets = tfds.load("ali_ccp/purchase", data_dir=tmp_path / "data", download_and_prepare_kwargs=options)
    source = AliCcpRows(tmp_path / "manual", label="purchase")
    wanted = [row for batch in source.batches() for row in batch.columns.to_pylist()][40:]
    found = list(tfds.as_numpy(datasets["test"]))
    names = [feature.name for feature in source.schema.features if feature.kind == "categorical"]
    assert len(found) == len(wanted) == 40
    for row, raw in zip(found, wanted, strict=True):
        assert row["purchase"] == raw["purchase"]
        assert [text.decode() for text in row["categorical"]] == [raw[name] or "" for name in names]
        np.testing.assert_allclose(row["numeric"], [raw[f"value_{f}"] or np.nan for f in COMBINATION], rtol=1e-6)
        for field in (*BEHAVIOUR, INTENTION):
            assert [text.decode() for text in row[f"f{field}"]] == raw[f"f{field}"]
