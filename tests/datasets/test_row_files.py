"""Files of rows are listed in one way, wherever they lie."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from dynctr_tf.datasets.row_files import RowFile, file_states, list_row_files, refuse_changed_files, row_paths
from dynctr_tf.uris import is_uri


def folder_of(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("user,click\nanna,1\n")
    return tmp_path


def names_of(files: tuple[RowFile, ...], folder: Path | str) -> list[str]:
    return [file.path.removeprefix(str(folder)).lstrip("/") for file in files]


DAYS = ("day=2024-01-02/b.csv", "day=2024-01-01/a.csv", "day=2024-01-01/b.csv.gz")


def test_a_folder_gives_its_files_in_the_order_of_their_names_and_their_partitions(tmp_path: Path) -> None:
    folder_of(tmp_path, *DAYS, "_SUCCESS", ".hidden.csv", "_logs/x.csv", "day=2024-01-01/a.schema.json")
    found = list_row_files(tmp_path)
    assert names_of(found, tmp_path) == sorted(DAYS)
    assert [file.partitions for file in found] == [(("day", name[4:14]),) for name in sorted(DAYS)]


def test_part_10_of_a_folder_does_not_come_between_those_of_another(tmp_path: Path) -> None:
    # As text "a-b/..." sorts before "a/...", whose folder's name is shorter.
    folder_of(tmp_path, "a/2.csv", "a-b/1.csv", "a/1.csv")
    assert names_of(list_row_files(tmp_path), tmp_path) == ["a/1.csv", "a/2.csv", "a-b/1.csv"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("day=*/b.*", ["day=2024-01-01/b.csv.gz", "day=2024-01-02/b.csv"]),
        ("day=*", sorted(DAYS)),
        ("**/*.csv", ["day=2024-01-01/a.csv", "day=2024-01-02/b.csv"]),
        ("*", sorted(DAYS)),
        ("**", sorted(DAYS)),
        ("**/day=*", sorted(DAYS)),
        ("day=2024-01-0[2-9]/?.csv", ["day=2024-01-02/b.csv"]),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_patterns_find_the_same_files_here_and_behind_a_uri(
    tmp_path: Path, pattern: str, expected: list[str], scheme: str
) -> None:
    folder_of(tmp_path, *DAYS, "day=2024-01-02/_b.csv", "_logs/x.csv", "_SUCCESS")
    (tmp_path / "empty").mkdir()
    found = list_row_files(f"{scheme}{tmp_path}/{pattern}")
    assert names_of(found, f"{scheme}{tmp_path}") == expected
    assert found[0].open().read() and found[0].state().size == 18


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_question_mark_is_of_a_pattern_where_no_query_follows(tmp_path: Path, scheme: str) -> None:
    folder_of(tmp_path, "b1/day=1/a.csv", "b2/day=1/a.csv")
    found = list_row_files(f"{scheme}{tmp_path}/b?/day=*")
    assert [file.path for file in found] == [f"{scheme}{tmp_path}/b{place}/day=1/a.csv" for place in (1, 2)]
    assert found[0].name == "a.csv" and found[0].partitions == (("day", "1"),)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_is_not_finished_is_refused_where_a_pattern_finds_rows(tmp_path: Path, scheme: str) -> None:
    folder_of(tmp_path, "a/1.csv", "a/_temporary/0/2.csv", "b/1.csv")
    for pattern in ("a/*", "a/*.csv", "**/*.csv"):
        with pytest.raises(ValueError, match=r"a job still writes there"):
            list_row_files(f"{scheme}{tmp_path}/{pattern}")
    assert len(list_row_files(f"{scheme}{tmp_path}/[b]/*.csv")) == 1  # another folder is not concerned


def test_links_to_folders_are_followed_but_not_back(tmp_path: Path) -> None:
    folder_of(tmp_path, "far/b.csv", "rows/day=1/a.csv")
    (tmp_path / "rows" / "day=2").symlink_to(tmp_path / "far")
    (tmp_path / "rows" / "latest").symlink_to("day=1")
    (tmp_path / "rows" / "loop").symlink_to(tmp_path / "rows")
    assert names_of(list_row_files(tmp_path / "rows"), tmp_path / "rows") == ["day=1/a.csv", "day=2/b.csv"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path, "a.csv", "closed/b.csv")
    listed = os.scandir

    def refuse(place: str) -> Any:
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match=r"closed: cannot be listed: Permission denied"):
        list_row_files(tmp_path)


def test_a_name_that_is_a_pattern_too_is_the_file_of_that_name(tmp_path: Path) -> None:
    folder_of(tmp_path, "a[1].csv", "a1.csv")
    assert names_of(list_row_files(str(tmp_path / "a[1].csv")), tmp_path) == ["a[1].csv"]


def test_a_list_keeps_its_order_and_may_be_a_text(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.csv", "b.csv")
    b, a = str(tmp_path / "b.csv"), str(tmp_path / "a.csv")
    assert [file.path for file in list_row_files([b, Path(a)])] == [b, a]
    assert [file.path for file in list_row_files(f'["{b}", "{a}"]')] == [b, a]
    assert [file.path for file in list_row_files(f'[ "{b}" ]')] == [b]


def test_a_missing_partition_and_an_escaped_one(tmp_path: Path) -> None:
    folder_of(tmp_path, "city=__HIVE_DEFAULT_PARTITION__/a.csv", "city=New%20York/a.csv")
    assert [file.partitions[0][1] for file in list_row_files(tmp_path)] == ["New York", None]


def test_memory_stands_in_for_a_bucket() -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in DAYS:
        system.pipe(f"/bucket/rows/{name}", b"user,click\nanna,1\n")
    system.pipe("/bucket/rows/_SUCCESS", b"")
    whole = list_row_files("memory://bucket/rows")
    assert names_of(whole, "memory://bucket/rows") == sorted(DAYS)
    assert names_of(list_row_files("memory://bucket/rows/day=*/b*"), "memory://bucket/rows") == [
        "day=2024-01-01/b.csv.gz",
        "day=2024-01-02/b.csv",
    ]
    assert whole[0].partitions == (("day", "2024-01-01"),)
    assert whole[0].open().read() == b"user,click\nanna,1\n"
    assert pickle.loads(pickle.dumps(whole)) == whole
    assert list_row_files(Path("memory://bucket/rows")) == whole  # pathlib has made memory:/ of it
    with pytest.raises(ValueError, match=r"memory://bucket/other: there is no such file"):
        list_row_files("memory://bucket/other")


def test_what_names_no_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, problem in (
        (tmp_path / "empty", "the folder holds no file of rows"),
        (f"file://{tmp_path}/empty", "the folder holds no file of rows"),
        (tmp_path / "absent.csv", "there is no such file"),
        (tmp_path / "*.csv", "the pattern matches no file of rows"),
        ("nosuch://bucket/rows", "no file system for nosuch:// is installed"),
    ):
        with pytest.raises(ValueError, match=re.escape(problem)) as raised:
            list_row_files(path)
        assert str(path).split("/")[-1] in str(raised.value) or "nosuch" in str(raised.value)
    for nothing in ([], "", [""]):
        with pytest.raises(ValueError, match=r"empty"):
            list_row_files(nothing)


def test_what_is_no_set_of_rows_is_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.csv", "day=1/b.csv")
    with pytest.raises(
        ValueError, match=r"b.csv: its folders give it the columns \['day'\], those of .*a.csv give \[\]"
    ):
        list_row_files(tmp_path)
    with pytest.raises(ValueError, match=r"a.csv: is named twice"):
        list_row_files([tmp_path / "a.csv", f"{tmp_path}/./a.csv"])
    folder_of(tmp_path, "spark/_temporary/0/c.csv", "spark/c.csv", "delta/_delta_log/0.json", "delta/c.parquet")
    with pytest.raises(ValueError, match=r"a job still writes there"):
        list_row_files(tmp_path / "spark")
    with pytest.raises(ValueError, match=r"is a Delta Lake table"):
        list_row_files(tmp_path / "delta")


def test_a_file_that_appears_changes_or_goes_away_is_named(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.csv", "b.csv")
    before = file_states(list_row_files(tmp_path))
    refuse_changed_files(tmp_path, before)
    folder_of(tmp_path, "c.csv")
    (tmp_path / "a.csv").write_text("user,click\nanna,1\nbert,0\n")
    (tmp_path / "b.csv").unlink()
    with pytest.raises(RuntimeError, match=r"c.csv appeared; .*b.csv went away; .*a.csv changed while the rows"):
        refuse_changed_files(tmp_path, before)


def test_paths_are_told_from_uris() -> None:
    assert is_uri("gs://b/x") and not is_uri("C:/x") and not is_uri("a:b")
    assert row_paths(Path("gs://b/x")) == ["gs://b/x"]
    assert row_paths(Path("file:///b/x")) == ["file:///b/x"]
