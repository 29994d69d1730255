"""The readers of iPinYou, Frappe, KuaiRand and IAAC: rows as the lines say, splits, faults, TFDS, real rows."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from paper_lines import (
    AGENTS,
    PRICES,
    frappe_log_lines,
    iaac_lines,
    ipinyou_lines,
    write_frappe_papers,
    write_ipinyou,
    write_kuairand,
)

from dynctr_tf.datasets import (
    BadRowError,
    JoinedSources,
    SyntheticCtrRows,
    avazu_schema,
    frappe_rows,
    iaac_rows,
    ipinyou_rows,
    kuairand_rows,
    real_rows,
)
from dynctr_tf.datasets.frappe import FEATURES
from dynctr_tf.datasets.ipinyou import CATEGORICAL, COLUMNS
from dynctr_tf.datasets.kuairand import USER, VIDEO


def rows_of(source: Any) -> list[dict[str, Any]]:
    return [row for batch in source.batches() for row in batch.columns.to_pylist()]


def splits_of(source: Any) -> list[str]:
    return [source.split_names[place] for batch in source.batches() for place in batch.splits]


def test_ipinyou_rows_are_the_lines(tmp_path: Path) -> None:
    write_ipinyou(tmp_path)
    source = ipinyou_rows(tmp_path, user_tags=True)
    found = rows_of(source)
    lines = [*ipinyou_lines(60), *ipinyou_lines(30, test=True, seed=1)]
    assert len(found) == 90 and source.schema.columns == ("click", *CATEGORICAL, "usertag")
    for row, line in zip(found, lines, strict=True):
        cells = dict(zip(COLUMNS, line.split("\t")[:27], strict=True))
        tags = None if cells["usertag"] == "null" else cells["usertag"]
        expected = {**cells, "useragent": AGENTS[cells["useragent"]], "slotprice": PRICES[cells["slotprice"]]}
        assert {name: row[name] for name in CATEGORICAL} == {name: expected[name] for name in CATEGORICAL}
        assert row["click"] == float(cells["click"]) and (row["usertag"] or None) == tags
    assert len(ipinyou_rows(tmp_path).schema.features) == 16


def test_ipinyou_splits(tmp_path: Path) -> None:
    write_ipinyou(tmp_path, 400, 100)
    by_file = splits_of(ipinyou_rows(tmp_path, split_by="file"))
    assert by_file[400:] == ["test"] * 100 and set(by_file[:400]) == {"train", "validation"}
    assert by_file[:400].count("validation") == pytest.approx(40, abs=20)
    random = splits_of(ipinyou_rows(tmp_path))
    assert random.count("test") == pytest.approx(100, abs=30) and "test" in random[:400] and "train" in random[400:]
    # Each log has a split of its own, not the same one twice.
    assert random[:100] != random[400:]
    alone = ipinyou_rows(tmp_path / "train.log.txt")
    assert splits_of(alone) == random[:400]
    with pytest.raises(ValueError, match="needs the folder of both logs"):
        ipinyou_rows(tmp_path / "train.log.txt", split_by="file")
    with pytest.raises(ValueError, match="Unknown way to split iPinYou: 'files'. Did you mean 'file'"):
        ipinyou_rows(tmp_path, split_by="files")  # type: ignore[arg-type]


def test_ipinyou_faults(tmp_path: Path) -> None:
    lines = ipinyou_lines(90)
    cells = lines[41].split("\t")
    cells[COLUMNS.index("slotprice")] = "7.5"
    lines[41] = "\t".join(cells)
    path = tmp_path / "train.log.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(BadRowError) as caught:
        rows_of(ipinyou_rows(path))
    assert (caught.value.line, caught.value.column) == (42, "slotprice")
    source = ipinyou_rows(path, on_bad_row="skip")
    assert len(rows_of(source)) == 89 and source.skipped == {"slotprice is not a whole number": 1}
    path.write_text("1\t2\t3\n", encoding="utf-8")
    with pytest.raises(ValueError, match="expected 27 tab-separated columns, or 29 in a test log, got 3"):
        ipinyou_rows(path)
    with pytest.raises(ValueError, match="There is no test.log.txt"):
        ipinyou_rows(tmp_path)


def test_frappe_of_the_papers(tmp_path: Path) -> None:
    written = write_frappe_papers(tmp_path, {"train": 30, "validation": 12, "test": 9})
    source = frappe_rows(tmp_path)
    assert splits_of(source) == ["train"] * 30 + ["validation"] * 12 + ["test"] * 9
    rows = [row for split in ("train", "validation", "test") for row in written[split]]
    for found, (label, *tokens) in zip(rows_of(source), rows, strict=True):
        assert found["used"] == float(label) and [found[name] for name in FEATURES] == [str(token) for token in tokens]
    bad = tmp_path / "frappe.test.libfm"
    bad.write_text(bad.read_text() + "1 3:1 4:1\n", encoding="utf-8")
    with pytest.raises(BadRowError, match="expected a label and ten features"):
        frappe_rows(tmp_path)
    assert frappe_rows(tmp_path, on_bad_row="skip").skipped == {"the row is not in libFM's format": 1}
    bad.unlink()
    with pytest.raises(ValueError, match="There is no frappe.test.libfm"):
        frappe_rows(tmp_path)


def test_frappe_log_gets_items_that_were_not_used_in_this_context(tmp_path: Path) -> None:
    lines = frappe_log_lines(200)
    path = tmp_path / "frappe.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = rows_of(frappe_rows(path))
    assert len(found) == 600 and sum(row["used"] for row in found) == 200
    used = {tuple(row.values())[1:] for row in found if row["used"]}
    for positive, *negatives in zip(found[::3], found[1::3], found[2::3], strict=True):
        for negative in negatives:
            same = [name for name in FEATURES if name != "item"]
            assert [negative[name] for name in same] == [positive[name] for name in same]
            assert tuple(negative.values())[1:] not in used
    assert rows_of(frappe_rows(path, seed=1)) != found and len(rows_of(frappe_rows(path, num_negatives=1))) == 400
    path.write_text("\n".join([*lines, "1\t\t3"]) + "\n", encoding="utf-8")
    with pytest.raises(BadRowError, match="line 202"):
        frappe_rows(path)
    path.write_text("user\titem\n1\t2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="there is no daytime"):
        frappe_rows(path)


def test_kuairand_joins_users_and_videos(tmp_path: Path) -> None:
    written = write_kuairand(tmp_path)
    for label in ("is_click", "long_view"):
        found = rows_of(kuairand_rows(tmp_path, label=label))  # type: ignore[arg-type]
        assert len(found) == len(written)
        for row, meant in zip(found, written, strict=True):
            assert row[label] == float(meant[label]) and row["tab"] == meant["tab"]
            assert row["hour_of_day"] == str(int(meant["hourmin"]) // 100)
            assert [row[name] for name in (*USER, *VIDEO)] == [meant.get(name) for name in (*USER, *VIDEO)]
            assert (row["tag"] or "") == meant.get("tag", "")
    source = kuairand_rows(tmp_path)
    assert [f.name for f in source.schema.features if f.role == "scenario"] == ["tab"]
    # All files count: a run begins anew when the features of users have changed.
    assert sorted(map(str, source.files)) == sorted(map(str, tmp_path.iterdir()))
    with (tmp_path / "user_features_pure.csv").open("a", encoding="utf-8") as file:
        file.write("99\n")
    with pytest.raises(BadRowError, match=f"line 8: the row has 1 columns, expected {1 + len(USER)}"):
        kuairand_rows(tmp_path)
    assert kuairand_rows(tmp_path, on_bad_row="skip").skipped == {"too few columns": 1}
    (tmp_path / "user_features_1k.csv").write_text("user_id\n1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"expected one file user_features_\*.csv, found"):
        kuairand_rows(tmp_path)


def test_kuairand_in_one_file(tmp_path: Path) -> None:
    columns = ["user_id", "video_id", "is_click", "tab", *USER, "video_type"]
    lines = [",".join(columns)] + [
        ",".join(str(row % (2 if name == "is_click" else 5)) for name in columns) for row in range(30)
    ]
    path = tmp_path / "kuairand.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = rows_of(kuairand_rows(path))
    assert len(found) == 30 and found[7]["onehot_feat17"] == "2" and found[7]["is_click"] == 1.0
    with pytest.raises(ValueError, match="there is no column 'long_view'"):
        kuairand_rows(path, label="long_view")


def test_iaac_rows_are_the_lines(tmp_path: Path) -> None:
    lines = iaac_lines(40)
    path = tmp_path / "round1_ijcai_18_train_20180301.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = lines[0].split()
    found = rows_of(iaac_rows(path))
    for row, line in zip(found, lines[1:], strict=True):
        cells = dict(zip(names, line.split(), strict=True))
        assert row["user_age_level"] == (None if cells["user_age_level"] == "-1" else cells["user_age_level"])
        assert row["item_category_list"] == cells["item_category_list"]
        assert row["is_trade"] == float(cells["is_trade"]) and row["shop_score_service"] == float(
            cells["shop_score_service"]
        )
    # 1 537 200 000 is midnight of 18 September 2018 in Beijing.
    assert [row["hour_of_day"] for row in found[:3]] == ["0", "1", "2"]
    path.write_text(path.read_text().replace("1537200000", "yesterday"), encoding="utf-8")
    with pytest.raises(BadRowError, match="expected a time in seconds since 1970"):
        rows_of(iaac_rows(path))


def test_avazu_has_the_features_of_each_paper() -> None:
    counts = {
        times: len(avazu_schema(scenario="none", times=times).features)  # type: ignore[arg-type]
        for times in ("hour_and_weekday", "hour", "none")
    }
    assert counts == {"hour_and_weekday": 23, "hour": 22, "none": 21}
    with pytest.raises(ValueError, match="Unknown times of Avazu: 'hours'. Did you mean 'hour'"):
        avazu_schema(times="hours")  # type: ignore[arg-type]


def test_joined_sources_are_of_one_kind() -> None:
    part = SyntheticCtrRows(num_train=4, num_validation=1, num_test=1)
    with pytest.raises(ValueError, match=r"\['test', 'validation'\] of a source are not among \['train'\]"):
        JoinedSources([part], ("train",))
    with pytest.raises(ValueError, match="have one schema, got 0 sources"):
        JoinedSources([], ("train",))


@pytest.mark.parametrize("name", ["i_pin_you/file", "frappe/papers", "frappe/log", "kuai_rand/click", "iaac/random"])
def test_tfds_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    manual = tmp_path / "manual"
    manual.mkdir()
    write_ipinyou(manual, 40, 20)
    write_frappe_papers(manual, {"train": 30, "validation": 12, "test": 9})
    (manual / "frappe.csv").write_text("\n".join(frappe_log_lines(40)) + "\n", encoding="utf-8")
    write_kuairand(manual)
    text = "\n".join(iaac_lines(40)) + "\n"
    (manual / "round1_ijcai_18_train_20180301.txt").write_text(text, encoding="utf-8")
    config = tfds.download.DownloadConfig(manual_dir=manual)
    builder = tfds.builder(name, data_dir=tmp_path / "data")
    builder.download_and_prepare(download_config=config)
    source = builder.row_source(manual)
    expected, splits = rows_of(source), splits_of(source)
    for split in source.split_names:
        found = list(tfds.as_numpy(builder.as_dataset(split=split)))
        wanted = [row for row, of in zip(expected, splits, strict=True) if of == split]
        assert len(found) == len(wanted)
        names = [feature.name for feature in source.schema.features if feature.kind == "categorical"]
        for row, meant in zip(found, wanted, strict=True):
            assert row[source.schema.label] == np.float32(meant[source.schema.label])
            assert [text.decode() for text in row["categorical"]] == [meant[name] or "" for name in names]


def real_or_skipped(*parts: str) -> Path:
    try:
        return real_rows(*parts)
    except ValueError as error:
        pytest.skip(str(error))


@pytest.mark.realdata
def test_real_rows_of_ipinyou(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.log.txt.gz").symlink_to(real_or_skipped("ipinyou", f"c2259_{split}.log.txt.gz"))
    rows = rows_of(ipinyou_rows(tmp_path, user_tags=True))
    assert len(rows) == 8355 + 4171 and sum(row["click"] for row in rows) == 5
    assert {row["slotprice"] for row in rows} == {"0", "1-10", "11-50", "51-100", "101+"}
    assert {row["useragent"] for row in rows} > {"windows_ie", "windows_chrome"}


@pytest.mark.realdata
def test_real_rows_of_frappe(tmp_path: Path) -> None:
    rows = rows_of(frappe_rows(real_or_skipped("frappe", "frappe_raw.tsv.gz")))
    assert len(rows) == 3 * 96_203 and len({row["item"] for row in rows}) == 4082
    for split, name in (("train", "test"), ("validation", "validation"), ("test", "test")):
        (tmp_path / f"frappe.{split}.libfm.gz").symlink_to(real_or_skipped("frappe", f"frappe.{name}.libfm.gz"))
    source = frappe_rows(tmp_path)
    assert source.num_rows == 2 * 28_860 + 57_722
    assert float(np.mean([row["used"] for row in rows_of(source)])) == pytest.approx(0.33, abs=0.005)


@pytest.mark.realdata
def test_real_rows_of_kuairand() -> None:
    rows = rows_of(kuairand_rows(real_or_skipped("scenario_wise_rec_samples", "kuairand_sample.csv.gz")))
    assert len(rows) == 200 and {row["tab"] for row in rows} == {"1"}
