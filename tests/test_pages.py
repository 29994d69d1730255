"""The front page and the pages beside the code tell the truth: short, their links lead somewhere, their code runs."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dynctr_tf.models.catalogue import CATALOGUE
from pipelines.benchmarks.dynamic_costs import PAIRS, cost_of

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
MEASUREMENTS = ROOT / "pipelines" / "benchmarks" / "README.md"
PAGES = (
    README,
    ROOT / "CHANGELOG.md",
    ROOT / ".github" / "CONTRIBUTING.md",
    ROOT / "dynctr_tf" / "datasets" / "README.md",
    ROOT / "pipelines" / "README.md",
    MEASUREMENTS,
    ROOT / "pipelines" / "papers" / "README.md",
    ROOT / "pipelines" / "papers" / "dynint" / "README.md",
    ROOT / "pipelines" / "papers" / "dpn" / "README.md",
    ROOT / "pipelines" / "papers" / "apg" / "README.md",
    ROOT / "pipelines" / "papers" / "optmsm" / "README.md",
    ROOT / "saved_models" / "README.md",
)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(path), re.S | re.M)


def anchors(path: Path) -> set[str]:
    """The anchors that the headings of a page get."""
    headings = re.findall(r"^#+ (.+)$", text_of(path), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_front_page_is_short() -> None:
    assert len(text_of(README).split()) < 800
    (code,) = blocks(README, "python")
    assert len([line for line in code.splitlines() if line]) == 12
    assert len(blocks(README, "sh")) == 2, ".ci/run takes the two commands from here"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(path), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_jobs_that_pages_name_are_there(page: Path) -> None:
    for module in set(re.findall(r"python -m ((?:pipelines|dynctr_tf)[\w.]*)", text_of(page))):
        name = module.rstrip(".")
        assert name in ("pipelines", "pipelines.JOB") or importlib.util.find_spec(name), f"{page}: {module}"
    for path in set(re.findall(r"`((?:pipelines|dynctr_tf|notebooks|tests)/[\w./]*)`", text_of(page))):
        # What a newcomer adds is called so: your_layer, ROOM.
        assert "your_" in path or "ROOM" in path or (ROOT / path).exists(), f"{page}: {path}"


def test_the_picture_is_small() -> None:
    (picture,) = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text_of(README))
    assert (ROOT / picture).stat().st_size < 200_000


def test_the_models_of_the_table_are_in_the_catalogue() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", text_of(README), re.M)
    names = [name for row in rows for name in re.findall(r"`([\w*]+)`", row)]
    assert len(names) > 20
    for name in names:
        if name != "make_adaptive":
            assert any(re.fullmatch(name.replace("*", ".*"), known) for known in CATALOGUE), name


def test_costs_are_those_of_the_models() -> None:
    """One of the counted pairs of each paper, counted anew, and the front page beside the measurements."""
    measured = {
        cells[0].strip("`"): cells
        for row in re.findall(r"^\| (.+) \|$", text_of(MEASUREMENTS), re.M)
        if len(cells := row.split(" | ")) == 7
    }
    for pair in PAIRS:
        cells = measured[pair.dynamic]
        assert cells[3] == f"`{pair.static}`"
        ours, ours_parameters, static, static_parameters = (
            int(cells[column].replace(",", "")) for column in (1, 2, 4, 5)
        )
        assert cells[6] == f"{ours / static:.2f}"
        if pair.dynamic in ("dynint_dgp", "dpn", "apg_dnn", "optmsm"):
            assert (ours, ours_parameters) == cost_of(pair.dynamic, {})
            assert (static, static_parameters) == cost_of(pair.static, pair.options)
    (dynint,) = re.findall(r"^\| `dynint_da`.*$", text_of(README), re.M)
    assert ", ".join(measured[f"dynint_{kind}"][6] for kind in ("da", "dgp", "dwp")) in dynint
    for first, name in (
        ("dpn", "dpn"),
        ("apg_\\*", "apg_dnn"),
        ("optmsm", "optmsm"),
        ("sdpn", "sdpn"),
        ("sdpn", "dymlp"),
    ):
        (row,) = re.findall(rf"^\| `{first}`.*$", text_of(README), re.M)
        assert measured[name][6] in row, name


@pytest.mark.slow
def test_the_twelve_lines_run(tmp_path: Path) -> None:
    (code,) = blocks(README, "python")
    packages = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:keras", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": packages},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    probabilities = [float(number) for number in re.findall(r"\[+(0\.\d+) *\]", done.stdout)]
    assert len(probabilities) == 5 and all(0.0 < number < 1.0 for number in probabilities)
