"""The mirror of a folder at a URI: whole whatever ends the copy, brought to another machine, and of one job alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from shaky_store import Killed, Shaky, contents_at, put

from dynctr_tf.durable_files import BusyError, DamagedFileError, json_bytes
from dynctr_tf.folders_at_uris import FolderAtUri, working_folder
from dynctr_tf.mirrors import LIST, Mirror, fetched, is_mirror, read_list, working_copy

URI = "shaky://bucket/runs/one"
OLD = {"log.csv": b"step\n1\n", "best/1/state": b"first", "checkpoints/1/state": b"a" * 3000, "run.json": b"{}"}
NEW = {"log.csv": b"step\n1\n2\n", "best/2/state": b"second", "checkpoints/1/state": b"a" * 3000, "run.json": b"{}"}
NEW |= {"checkpoints/2/state": b"b" * 3000, "run.png": b"picture"}


@pytest.fixture(autouse=True)
def here(shaky_store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(folder: Path, contents: dict[str, bytes]) -> None:
    """Makes the files of a folder those that are given; files that stay are not touched."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in contents:
            path.unlink()
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def machine(name: str) -> Mirror:
    mirror = Mirror(URI, Path(name) / "one")
    mirror.bring()
    return mirror


def copied(name: str, contents: dict[str, bytes]) -> Mirror:
    mirror = machine(name)
    write(mirror.folder, contents)
    mirror.copy()
    return mirror


def files_there() -> dict[str, bytes]:
    return {name: content for name, content in contents_at(URI).items() if name != LIST}


def test_files_lie_there_under_their_names_and_come_to_another_machine() -> None:
    assert not is_mirror(URI)
    first = copied("first", OLD)
    (first.folder / "lock").write_text("")
    (first.folder / "log.unfinished-1a2b.csv").write_text("")
    first.copy()
    assert files_there() == OLD
    write(first.folder, NEW)
    first.copy()
    assert files_there() == NEW
    assert read(machine("second").folder) == NEW
    with fetched(URI, "run", ["run.png"]) as folder:
        assert folder.name == "one" and read(folder) == {"run.png": b"picture"}


def test_what_was_removed_there_begins_anew_and_is_kept_here(capsys: pytest.CaptureFixture[str]) -> None:
    first = copied("first", OLD)
    fsspec.filesystem("shaky").rm("/bucket/runs/one", recursive=True)
    assert not is_mirror(URI)
    again = machine("first")
    assert read(again.folder) == {} and is_mirror(URI)
    (aside,) = (path for path in first.folder.parent.iterdir() if path.name.endswith(".aside"))
    assert read(aside) == OLD and str(aside) in capsys.readouterr().out


def test_only_what_has_changed_is_written() -> None:
    first = copied("first", OLD)
    Shaky.written = []
    first.copy()
    assert Shaky.written == []
    (first.folder / "run.json").write_bytes(b"{}")  # another time, the same content
    first.copy()
    assert Shaky.written == []
    write(first.folder, NEW)
    first.copy()
    plain = [name.removeprefix("/bucket/runs/one/") for name in Shaky.written]
    assert {name for name in plain if not name.startswith(".new/")} == {
        LIST, "log.csv", "best/2/state", "checkpoints/2/state", "run.png",
    }  # fmt: skip
    assert [name.rpartition("/")[2] for name in plain if name.startswith(".new/")] == ["log.csv"]
    # Another process of this machine goes on with its folder, also where that is further than the mirror.
    (first.folder / "run.png").write_bytes(b"another")
    again = Mirror(URI, first.folder)
    assert again.bring() and (first.folder / "run.png").read_bytes() == b"another"
    Shaky.written = []
    again.copy()
    assert {name.rpartition("/")[2] for name in Shaky.written} == {LIST, "run.png"}


def killed_copies(late: bool) -> Iterator[tuple[int, Path]]:
    """Kills a copy of the new state at each of its operations; gives the number, and the folder of the machine."""
    copied("counted", OLD)
    before = Shaky.operations
    copied("counted", NEW)
    total = Shaky.operations - before
    assert total == 10
    Shaky.reset()
    copied("template", OLD)
    at_first = contents_at(URI)
    for number in range(1, total + 1):
        put(URI, at_first)
        folder = Path(f"here-{number}")
        shutil.copytree("template", folder)
        mirror = machine(str(folder))
        assert Shaky.operations == 0
        write(mirror.folder, NEW)
        Shaky.dies_at, Shaky.late = number, late
        with pytest.raises(Killed):
            mirror.copy()
        Shaky.dies_at = 0
        yield number, folder


@pytest.mark.parametrize("late", [False, True])
def test_a_kill_at_any_operation_leaves_the_old_state_or_the_new_one(late: bool) -> None:
    ends = {"old": 0, "new": 0}
    for number, _ in killed_copies(late):
        # Another machine finds one of the two states, whole, and goes on from it.
        elsewhere = machine(f"other-{number}")
        found = read(elsewhere.folder)
        assert found in (OLD, NEW), (number, found)
        ends["old" if found == OLD else "new"] += 1
        third_state = {**NEW, "log.csv": b"step\n1\n2\n3\n"}
        write(elsewhere.folder, third_state)
        elsewhere.copy()
        assert files_there() == third_state, number
        assert read(machine(f"third-{number}").folder) == third_state
    assert min(ends.values()) > 1, ends


@pytest.mark.parametrize("late", [False, True])
def test_a_kill_at_any_operation_and_the_same_machine_goes_on(late: bool) -> None:
    for number, folder in killed_copies(late):
        again = machine(str(folder))
        assert read(again.folder) == NEW  # further than the mirror
        again.copy()
        assert files_there() == NEW, number


def test_a_kill_before_the_first_list_leaves_no_mirror_and_the_next_start_begins() -> None:
    Shaky.dies_at, Shaky.late = 1, True  # a trial whether it can be written
    with pytest.raises(Killed):
        machine("first")
    Shaky.dies_at = 0
    assert contents_at(URI) and not is_mirror(URI)
    assert read(copied("first", OLD).folder) == OLD == read(machine("second").folder)


def test_a_second_writer_is_noticed_by_the_first() -> None:
    first, second = copied("first", OLD), machine("second")
    write(second.folder, NEW)
    second.copy()
    there = contents_at(URI)
    write(first.folder, {**OLD, "log.csv": b"mine"})
    with pytest.raises(BusyError, match=rf"{URI}: another process \(process \d+ on .*\) has written there.*first/one"):
        first.copy()
    assert contents_at(URI) == there
    # Started again, the first takes up what the second has done.
    again = machine("first")
    assert read(again.folder) == NEW
    again.copy()
    fsspec.filesystem("shaky").rm("/bucket/runs/one/files.json")
    with pytest.raises(BusyError, match="somebody has removed its list"):
        again.copy()


def test_a_machine_and_its_copy_do_not_take_each_other_for_themselves() -> None:
    copied("first", OLD)
    shutil.copytree("first", "second")
    mirror, twin = machine("first"), machine("second")
    write(mirror.folder, NEW)
    mirror.copy()
    write(twin.folder, {**OLD, "log.csv": b"mine"})
    with pytest.raises(BusyError, match="another process"):
        twin.copy()
    assert read(machine("second").folder) == NEW


def test_two_machines_that_begin_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Mirror(URI, "first/one"), Mirror(URI, "second/one")
    looked = second._there.check_writable

    def then_the_first_begins() -> None:
        looked()
        first.bring()

    monkeypatch.setattr(second._there, "check_writable", then_the_first_begins)
    with pytest.raises(BusyError, match="another process"):
        second.bring()
    write(first.folder, OLD)
    first.copy()


def test_one_process_of_a_machine_at_a_time() -> None:
    with working_copy(URI) as mirror:
        assert mirror.folder == working_folder(URI) == Path("runs/at_uris/shaky/bucket/runs/one")
        write(mirror.folder, OLD)
        with pytest.raises(BusyError, match=f"This process already works on {URI}"), working_copy(URI):
            pass
    assert read(machine("second").folder) == OLD
    with pytest.raises(ZeroDivisionError), working_copy(URI) as mirror:
        write(mirror.folder, NEW)
        raise ZeroDivisionError
    assert read(machine("third").folder) == OLD and read(mirror.folder) == NEW


def test_a_place_that_cannot_be_written_keeps_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    first = copied("first", OLD)
    write(first.folder, NEW)
    for refused in ("run.png", "log.csv", LIST):
        Shaky.refused = refused
        with pytest.raises(
            OSError, match=r"403: may not write here\. What this job has done is kept in first/one: the"
        ):
            first.copy()
        assert read(first.folder) == NEW and read(machine("other").folder) == OLD
    Shaky.refused, Shaky.keeps = "", True
    first = machine("first")
    first.copy()  # nothing can be removed there, so it stays and is not listed
    assert "403: may not delete here: it is not needed any more" in capsys.readouterr().out
    assert read(machine("other").folder) == NEW and "best/1/state" in contents_at(URI)
    Shaky.keeps = False
    write(first.folder, {**NEW, "more": b"more"})
    first.copy()
    assert "best/1/state" not in contents_at(URI)
    Shaky.refused = LIST
    with pytest.raises(OSError, match=rf"shaky://bucket/new/{LIST}: cannot be written: 403"):
        Mirror("shaky://bucket/new", "new/one").bring()


def test_files_of_others_are_left_alone_and_no_mirror_is_made_of_them() -> None:
    put("shaky://bucket/runs", {"notes.txt": b"mine"})
    with pytest.raises(ValueError, match=rf"shaky://bucket/runs has files and no {LIST}"):
        Mirror("shaky://bucket/runs", "first/runs").bring()
    first = copied("first", OLD)
    fsspec.filesystem("shaky").pipe_file("/bucket/runs/one/notes.txt", b"mine")
    write(first.folder, NEW)
    first.copy()
    assert contents_at(URI)["notes.txt"] == b"mine" and "notes.txt" not in read(machine("second").folder)


def test_a_damaged_or_absent_file_is_named() -> None:
    copied("first", OLD)
    whole = contents_at(URI)
    for name, worse in (("log.csv", b"step\n2\n"), ("best/1/state", b"fir")):
        put(URI, {**whole, name: worse})
        with pytest.raises(DamagedFileError, match=rf"{URI}/{name} is damaged"):
            machine("second")
        assert not Path("second/one").exists()
    put(URI, {name: content for name, content in whole.items() if name != "log.csv"})
    with pytest.raises(DamagedFileError, match=rf"{URI}/log.csv: cannot be read: .*log.csv, and {LIST} there names it"):
        machine("second")
    put(URI, {**whole, LIST: whole[LIST][:-9]})
    with pytest.raises(DamagedFileError, match=rf"{URI}/{LIST} is damaged: it is not JSON"):
        machine("second")
    put(URI, whole)
    assert read(machine("second").folder) == OLD


@pytest.mark.parametrize("name", ["../../evil", "/evil", "a//evil", "..\\evil", "best/../../evil"])
@pytest.mark.parametrize("where", ["name", "object", "unlisted"])
def test_a_name_that_leads_out_is_refused(name: str, where: str) -> None:
    copied("first", OLD)
    listed = json.loads(contents_at(URI)[LIST])
    del listed["checksum"]
    entry = listed["files"].pop("log.csv")
    if where == "unlisted":
        listed["unlisted"] = [name]
    else:
        own = {"name": (name, entry), "object": ("log.csv", {**entry, "object": name})}
        listed["files"] |= [own[where]]
    put(URI, {**contents_at(URI), LIST: json_bytes(listed)})
    with pytest.raises(DamagedFileError, match=r"it has a file '.*evil', which is not a name of a file within it"):
        machine("second")
    assert not list(Path().rglob("evil"))


def test_folders_in_which_others_work_stay_as_they_are_there() -> None:
    first = copied("first", {"a/log": b"1", "b/log": b"1"})
    write(first.folder, {"a/log": b"2", "b/log": b"2", "b/more": b"2"})
    first.copy(leave=["b"])
    assert read(machine("second").folder) == {"a/log": b"2", "b/log": b"1"}
    first.copy()
    assert read(machine("third").folder) == {"a/log": b"2", "b/log": b"2", "b/more": b"2"}


def test_a_folder_with_a_mirror_of_its_own_is_not_copied_with_another() -> None:
    inner = Mirror(f"{URI}/own", "first/one/own")
    outer = copied("first", OLD)
    assert read(machine("second").folder) == OLD
    write(outer.folder, {"log.csv": b""})
    inner.bring()
    write(inner.folder, {"state": b"own"})
    outer.copy()
    inner.copy()
    assert read(machine("third").folder) == {"log.csv": b""}
    other = Mirror(f"{URI}/own", "third/own")
    assert other.bring() and read(other.folder) == {"state": b"own"}


def test_a_disk_without_room_is_said_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    copied("first", OLD)
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(OSError, match=r"No room for 3,014 bytes from shaky://bucket/runs/one: 100 bytes are free"):
        machine("second")


def test_a_folder_of_this_machine_behind_a_uri(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/mounted/one"
    first = Mirror(uri, "first/one")
    first.bring()
    for contents in (OLD, NEW):
        write(first.folder, contents)
        first.copy()
        second = Mirror(uri, "second/one")
        assert second.bring() and read(second.folder) == contents
    listed = read_list(FolderAtUri(uri))
    assert listed is not None and set(listed.files) == set(NEW)
    there = tmp_path / "mounted" / "one"
    assert set(read(there)) == {LIST, *NEW}
    assert {path.name for path in there.rglob("*") if path.is_dir()} == {"best", "2", "checkpoints", "1"}


def test_where_a_job_works_on_what_lies_at_a_uri() -> None:
    plain, with_query = working_folder("s3://b/runs/x"), working_folder("s3://b/runs/x?region=eu-west-1")
    assert plain == Path("runs/at_uris/s3/b/runs/x") and with_query != plain and with_query.name == "x"
    for uri in ("gs://b/../x", "gs://"):
        with pytest.raises(ValueError, match="give the URI of one"):
            working_folder(uri)
