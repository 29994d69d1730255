"""One word, one meaning; and no word in a docstring, message or comment at which a stranger stumbles."""

from __future__ import annotations

import inspect
import io
import json
import re
import tokenize
from pathlib import Path

import pytest

from dynctr_tf import layers
from dynctr_tf.models.catalogue import CATALOGUE

ROOT = Path(__file__).parent.parent
FILES = sorted(path for room in ("dynctr_tf", "pipelines") for path in (ROOT / room).rglob("*.py"))
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / ".github").glob("*.md"), *ROOT.glob("[!.]*/**/README.md")]
)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

AVOIDED = {
    r"(?<!No One )behind": "after",
    r"mend(s|ed|ing)?": "fix",
    r"whom": "which, or the noun",
    r"shall": "should, or the plain verb",
    r"lest": "so that ... not",
    r"hence|thereof|whereof|wherein|therein|thereby": "so, of it, in it",
    r"as which": "a sentence of its own",
    r"(divide|take|know|have|has|need|do|does|make|give|see|want)s? (it|them|him|her) not": "does not ... it",
    r"no talking": "cannot answer",
    # Clauses that are turned around.
    r"\w+ (it|them|him|her) not(?=[.,;:)\"'`]|$)": "does not ... it",
    r"(?<![a-z,] )what no \w+": "a sentence that begins with its subject",
    r"(for|of) whose": "whose, with the noun before it",
    r"(?<=[.:;] )(counted|printed|measured|shown|drawn|kept|meant) (is|are)": "the subject first",
    r"one of both": "one of the two",
    r"too dear": "too expensive",
}
"""What is not written, and what is written in its place. `CONTRIBUTING` says so to people."""


def words_of(path: Path) -> list[tuple[int, str]]:
    """The comments and texts of a file, each with its first line."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    return [(token.start[0], token.string) for token in tokens if token.type in kinds]


def stumbles(text: str) -> list[str]:
    return [
        f"{match.group()!r}: write {better}"
        for pattern, better in AVOIDED.items()
        for match in re.finditer(rf"\b({pattern})\b", " ".join(text.split()), re.I)
    ]


def test_it_finds_what_it_looks_for() -> None:
    assert stumbles("heads that divide it not") and stumbles("Mend the row") and stumbles("one behind\n  the other")
    assert not stumbles("Leaving No One Behind; amend, commended, replaced with the second; it does not divide it")


@pytest.mark.parametrize(
    ("turned", "straight"),
    [
        ("heads that reach it not.", "heads that do not reach it. Weights move it not only once"),
        ("Whom the error names", "the row that the error names"),
        ("What no row can be blamed for is always an error", "It has no row, and holds what no file holds"),
        ("The weight, as which it is computed", "It is computed as a weight, which is kept"),
        ("layers part of whose kernel is generated", "layers that generate a part of their kernel"),
        ("Trains a model. Counted is each step", "It counts each step. Rows that are counted are kept"),
        ("leave out one of both", "leave out one of the two, or both"),
        ("a matrix that is too dear", "a matrix that is too expensive"),
    ],
)
def test_turned_clauses_are_found_and_straight_ones_are_not(turned: str, straight: str) -> None:
    assert stumbles(turned) and not stumbles(straight)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sentences_are_plain(path: Path) -> None:
    found = [f"{path.name}:{line}: {what}" for line, text in words_of(path) for what in stumbles(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_are_plain(path: Path) -> None:
    assert not stumbles(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_plain(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not [what for cell in cells for what in stumbles("".join(cell["source"]))]


def table_of_words() -> list[tuple[re.Pattern[str], set[str]]]:
    """The names of arguments and their types, off the table in CONTRIBUTING."""
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+) \| (`[^|]+) \| [^|]+ \|$", text, re.M)
    return [
        (
            re.compile("|".join(name.replace("*", r"\w+") for name in re.findall(r"`([^`]+)`", names))),
            set(re.findall(r"`([^`]+)`", types)),
        )
        for names, types in rows
    ]


def wrong_arguments(name: str, function: object) -> list[str]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return [
        f"{name}: {parameter.name} is {parameter.annotation}, and in the table of words {' or '.join(sorted(types))}"
        for parameter in parameters
        for pattern, types in table_of_words()
        if pattern.fullmatch(parameter.name)
        if parameter.annotation not in {*types, *(f"{kind} | None" for kind in types)}
        # A number for each field has its own name.
        if not parameter.name.endswith("_per_field")
    ]


def test_arguments_mean_what_the_table_says() -> None:
    assert len(table_of_words()) > 10
    classes = [member for name in layers.__all__ if inspect.isclass(member := getattr(layers, name))]
    found = [line for member in classes for line in wrong_arguments(member.__name__, member.__init__)]
    functions = {entry.function.__name__: entry.function for entry in CATALOGUE.values()}
    found += [line for name, function in functions.items() for line in wrong_arguments(name, function)]
    assert not found, "\n".join(found)


def test_an_argument_of_another_type_is_found() -> None:
    def layer(num_kernels: float, dropout: float, units: int | None) -> None:
        """Not a layer."""

    (line,) = wrong_arguments("layer", layer)
    assert "num_kernels is float" in line
