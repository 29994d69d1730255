"""One word, one meaning; and no word in a docstring, message or comment at which a stranger stumbles."""

from __future__ import annotations

import inspect
import io
import json
import re
import tokenize
from pathlib import Path
from typing import Any

import pytest

from dynctr_tf import layers, losses
from dynctr_tf.models import parts
from dynctr_tf.models.catalogue import CATALOGUE, model_entry

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
    r"(has|have|had|knows?) not(?=[.,;:)\"'`]|$)": "does not have",
    r"that there (is|are|was|were) not": "that does not exist",
    r"(?<![a-z,] )what no \w+": "a sentence that begins with its subject",
    r"(for|of) whose": "whose, with the noun before it",
    r"(?<=[.:;] )(counted|printed|measured|shown|drawn|kept|meant) (is|are)": "the subject first",
    r"one of both": "one of the two",
    r"too dear": "too expensive",
    r"dear(er|est)": "more expensive",
    # Words that are used in another sense than the usual one.
    r"(?<!there )(is|are|was|were) no (?!longer|more|less|better|worse|larger|smaller)\w+": "is not a",
    r"(that|which) (is|are) none": "a noun",
    r"otherwise than": "differently from",
    r"manieth": "index",
    r"in vain": "without a better one",
    r"told apart": "recognised, separated",
    r"taken apart": "split",
    r"tells? (which|whether|how|what|no)": "shows, says",
    r"passed over": "skipped",
    r"(on|again) where it was(?! (stopped|killed))": "where it stopped",
}
"""What is not written, and what is written in its place. `CONTRIBUTING` says so to people."""


def words_of(path: Path) -> list[tuple[int, str]]:
    """The comments and texts of a file, each with its first line."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    return [(token.start[0], token.string) for token in tokens if token.type in kinds]


def stumbles(text: str, avoided: dict[str, str] = AVOIDED) -> list[str]:
    return [
        f"{match.group()!r}: write {better}"
        for pattern, better in avoided.items()
        for match in re.finditer(rf"\b({pattern})\b", " ".join(text.split()), re.I)
    ]


TURNED_AND_STRAIGHT = [
    ("heads that reach it not.", "heads that do not reach it. Weights move it not only once"),
    ("keys that the class has not.", "the class has not only this key; a value that it does not have"),
    ("An index that there is not is refused", "There is no such index. Is there not one?"),
    ("Whom the error names", "the row that the error names"),
    ("What no row can be blamed for is always an error", "It has no row, and holds what no file holds"),
    ("The weight, as which it is computed", "It is computed as a weight, which is kept"),
    ("layers part of whose kernel is generated", "layers that generate a part of their kernel"),
    ("Trains a model. Counted is each step", "It counts each step. Rows that are counted are kept"),
    ("leave out one of both", "leave out one of the two, or both"),
    ("a matrix that is too dear", "a matrix that is too expensive"),
    ("a cell that is no number", "a cell that is not a number. There is no cell. It is no longer a number"),
    ("a time that is none is refused", "None of the times is refused. The default is none"),
    ("the model answers otherwise than it did", "It answers differently, unless the caller says otherwise"),
    ("all formats are told apart", "Nobody told the model"),
    ("The first row tells which times there are", "The first row shows it; tell the model what it is"),
    ("rows are taken apart by day", "rows are split by day; batches are taken from it"),
    ("a file is passed over", "a file is skipped, and passed to the next job"),
    ("a job goes on where it was", "a job goes on where it was stopped, or where it was before"),
    ("a row that is dearer than the nearest", "a row that is nearest, and more expensive"),
    ("the manieth row it is", "the index of the row"),
    ("It searched in vain", "It searched without a better one, in vanilla Keras"),
    ("heads that divide it not", "heads that do not divide it"),
    ("Mend the row", "amend the row, or one that is commended"),
    ("one behind\n  the other", "one after the other. Leaving No One Behind"),
    ("It shall be so", "It should be so, in shallow layers"),
    ("lest it be lost", "so that it is not lost; the least, the latest"),
    ("and hence a part thereof", "and so a part of it; there, of course"),
    ("There is no talking to it", "It cannot answer; there is talking"),
]


@pytest.mark.parametrize(("turned", "straight"), TURNED_AND_STRAIGHT)
def test_turned_clauses_are_found_and_straight_ones_are_not(turned: str, straight: str) -> None:
    assert stumbles(turned) and not stumbles(straight)


@pytest.mark.parametrize("pattern", AVOIDED)
def test_each_pattern_has_an_example(pattern: str) -> None:
    assert any(stumbles(turned, {pattern: AVOIDED[pattern]}) for turned, _ in TURNED_AND_STRAIGHT)


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


def pattern_of(cell: str) -> re.Pattern[str]:
    return re.compile("|".join(name.replace("*", r"\w+") for name in re.findall(r"`([^`]+)`", cell)))


def rows_of(columns: int) -> list[list[str]]:
    """The rows of the tables in CONTRIBUTING that begin with names of arguments."""
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [re.split(r"(?<!\\)\|", line.strip("|")) for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace(r"\|", "|") for cell in row] for row in rows if len(row) == columns]


def table_of_words() -> list[tuple[re.Pattern[str], set[str]]]:
    """The names of arguments and their types."""
    return [(pattern_of(names), set(re.findall(r"`([^`]+)`", types))) for names, types, _ in rows_of(3)]


def refused_words() -> list[tuple[re.Pattern[str], str]]:
    """The names that do not come back, and what is written in their place."""
    return [(pattern_of(names), better) for names, better in rows_of(2)]


def wrong_arguments(name: str, function: object) -> list[str]:
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        if parameter.kind is not parameter.VAR_KEYWORD
        # A number for each field has its own name.
        if not parameter.name.endswith("_per_field")
    ]
    found = [
        f"{name}: {parameter.name} is {parameter.annotation}, and in the table of words {' or '.join(sorted(types))}"
        for parameter in parameters
        for pattern, types in table_of_words()
        if pattern.fullmatch(parameter.name)
        if parameter.annotation not in {*types, *(f"{kind} | None" for kind in types)}
    ]
    return found + [
        f"{name}: {parameter.name}; write {better}"
        for parameter in parameters
        for pattern, better in refused_words()
        if pattern.fullmatch(parameter.name)
    ]


def public_classes(package: Any) -> list[type[Any]]:
    return [member for name in package.__all__ if inspect.isclass(member := getattr(package, name))]


def test_arguments_mean_what_the_table_says() -> None:
    assert len(table_of_words()) > 20 and len(refused_words()) > 5
    classes = [*public_classes(layers), *public_classes(parts)]
    found = [line for member in classes for line in wrong_arguments(member.__name__, member.__init__)]
    functions = {entry.function.__name__: entry.function for entry in CATALOGUE.values()}
    found += [line for name, function in functions.items() for line in wrong_arguments(name, function)]
    assert not found, "\n".join(found)


def test_an_argument_of_another_type_is_found() -> None:
    def layer(num_kernels: float, dropout: float, units: int | None) -> None:
        """Not a layer."""

    (line,) = wrong_arguments("layer", layer)
    assert "num_kernels is float" in line


@pytest.mark.parametrize("word", ["mode", "outer_mode", "gate", "bias", "count", "heads", "prior", "concat_projection"])
def test_a_word_of_old_is_found(word: str) -> None:
    parameter = inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY, annotation="str")
    function = type("Old", (), {"__signature__": inspect.Signature([parameter]), "__call__": lambda self: None})()
    assert any("write" in line for line in wrong_arguments("old", function))


def test_units_are_one_number_or_one_for_each_layer() -> None:
    """Where a layer has widths inside beside that of its output, `units` is the output's."""
    for member in public_classes(layers):
        parameters = inspect.signature(member.__init__).parameters
        if "units" in parameters and "hidden_units" in parameters:
            assert parameters["units"].annotation in ("int", "int | None"), member.__name__


@pytest.mark.parametrize("room", ["layers", "models"])
def test_to_concatenate_is_spelt_as_in_keras(room: str) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "dynctr_tf" / room).rglob("*.py")}
    assert not [path for path, text in texts.items() if re.search(r"""["']concat["']""", text)]


def file_of(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@pytest.mark.parametrize("package", [layers, losses, parts], ids=lambda package: package.__name__)
def test_what_is_public_stands_in_the_file_of_its_name(package: Any) -> None:
    members = {name: getattr(package, name) for name in package.__all__}
    modules = {
        name: member.__module__.rpartition(".")[2]
        for name, member in members.items()
        if inspect.isclass(member) or inspect.isfunction(member)
    }
    assert len(modules) > 3
    assert not {name: module for name, module in modules.items() if module != file_of(name)}


def test_models_have_one_spelling() -> None:
    """A name is that of the function and what it is fixed to; another spelling is answered with the right one."""
    for name in CATALOGUE:
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name), name
        if "_" in name:
            with pytest.raises(ValueError, match=f"Did you mean '{name}'"):
                model_entry(name.replace("_", "-"))
