"""Descriptions of the papers' tables and figures, and how this library repeats them: TOML files, a folder a paper."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynctr_tf.jobs.settings_file import read_file
from dynctr_tf.nearest import unknown_name_message

PAPERS = ("dynint", "dpn", "apg", "optmsm")
"""The papers, in the order in which they are listed; each has a folder here."""

KINDS = ("comparison", "statistics", "singular_values", "command", "none")
"""Kinds of items: a comparison of models; counts of a data set; values of trained matrices; another job; nothing."""

METRICS = ("auc", "log_loss", "thousand_parameters", "seconds_per_epoch", "rows", "fields", "ids")
"""What a column may hold; the first two also of a part of the test rows, as in `auc@user_id<20`."""

_FOLDER = Path(__file__).parent
_NO_ITEMS = ("paper", "settings", "settings_sample")
_COLUMN = re.compile(r"([a-z_]+)(?:@([A-Za-z0-9_]+)(<[0-9]+%?|=0))?")


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table: a metric, of all test rows or of a part of them.

    Args:
        text: How the description writes it.
        metric: One of `METRICS`.
        field: The field whose values define the part; empty for all rows.
        rule: `"<20"`: rows whose value is seen fewer times in training; `"<20%"`: rows of the rarest values, which
            together have at most this share of the training rows; `"=0"`: rows whose value is not in the history.
    """

    text: str
    metric: str
    field: str = ""
    rule: str = ""

    @property
    def part(self) -> str:
        """The part of the rows as the description writes it; empty for all."""
        return f"{self.field}{self.rule}"


@dataclasses.dataclass(frozen=True)
class System:
    """A row of a table.

    Args:
        name: As the paper calls it.
        models: Names of the catalogue; several are averaged: their runs count as runs of one model.
        training: The group of the settings that trains it.
        options: Options of the model that make it this row.
        search: What is searched for this model beside its group's space.
        mean_of: Other rows whose mean this one is; then nothing is trained for it.
        x: Its position in a picture. Default `None`: in no picture.
        line: The line of the picture that it belongs to.
    """

    name: str
    models: tuple[str, ...] = ()
    training: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    search: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mean_of: tuple[str, ...] = ()
    x: float | None = None
    line: str = ""

    @property
    def members(self) -> dict[str, str]:
        """The trainings of this row: a name for files, and the model of the catalogue."""
        own = slug(self.name)
        return {own if len(self.models) == 1 else f"{own}-{model}": model for model in self.models}


@dataclasses.dataclass(frozen=True)
class Item:
    """A table or figure of a paper.

    Args:
        paper: The paper's folder.
        key: Its name there, such as `table-1`.
        title: What it shows.
        kind: One of `KINDS`.
        data: Names of the data sets, in the settings of the paper.
        columns: What is measured.
        reference: The row that the others are tested against.
        systems: The rows.
        printed: For each data set the printed numbers of each row, in the order of the columns; without those that the
            paper does not print.
        remarks: Notes for the reader.
        words: What the paper says in words if it prints no number.
        x_label: The horizontal axis of a picture; empty for no such picture.
        impossible: Why nothing can be run; empty if it can.
        command: The job that measures it, for the kind `"command"`.
        minutes: How long that takes.
    """

    paper: str
    key: str
    title: str
    kind: str = "comparison"
    data: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    reference: str = ""
    systems: tuple[System, ...] = ()
    printed: Mapping[str, Mapping[str, Sequence[float]]] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    words: str = ""
    x_label: str = ""
    impossible: str = ""
    command: tuple[str, ...] = ()
    minutes: float = 0.0

    @property
    def name(self) -> str:
        """The paper and the key, as the command line takes them."""
        return f"{self.paper}/{self.key}"

    def system(self, name: str) -> System:
        """The row of a name.

        Raises:
            ValueError: There is none.
        """
        for system in self.systems:
            if system.name == name:
                return system
        raise ValueError(unknown_name_message(f"row of {self.name}", name, [system.name for system in self.systems]))


@dataclasses.dataclass(frozen=True)
class PaperData:
    """A data set of a paper.

    Args:
        rows: How many there are.
        fields: How many features a row has.
        ids: How many values all of them have together, without dropped ones.
        file: Where its rows come from; empty for rows that the project makes.
        made: What the made rows are; empty for those of a file.
    """

    rows: int
    fields: int
    ids: int
    file: str = ""
    made: str = ""


@dataclasses.dataclass(frozen=True)
class Paper:
    """A paper.

    Args:
        key: Its folder.
        title: Its title.
        reference: Its authors and number.
        data: Its data sets.
    """

    key: str
    title: str
    reference: str
    data: Mapping[str, PaperData]


def slug(name: str) -> str:
    """Turns the name of a row into one for files.

    Example:

    >>> slug("Wide&Deep"), slug("Eq. 5, l=4, softmax"), slug("1 layer")
    ('wide-deep', 'eq.-5-l-4-softmax', '1-layer')
    """
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def read_column(text: str) -> Column:
    """Reads a column as descriptions write it.

    Raises:
        ValueError: Another form or an unknown metric.

    Example:

    >>> read_column("auc@user_id<20").part
    'user_id<20'
    """
    found = _COLUMN.fullmatch(text)
    if found is None:
        raise ValueError(f"A column is a metric, or metric@field<20, metric@field<20% or metric@field=0, got {text!r}.")
    if found[1] not in METRICS:
        raise ValueError(unknown_name_message("metric of a column", found[1], METRICS))
    return Column(text, found[1], found[2] or "", found[3] or "")


def _without_none(value: Any) -> Any:
    """The value with the text `none` for Python's `None`, also inside of lists."""
    if isinstance(value, list):
        return tuple(_without_none(part) for part in value)
    return None if value == "none" else value


def _system(given: Mapping[str, Any]) -> System:
    values = dict(given)
    if "model" in values:
        values["models"] = [values.pop("model")]
    for name in ("models", "mean_of"):
        values[name] = tuple(values.get(name, ()))
    values["options"] = {path: _without_none(value) for path, value in values.get("options", {}).items()}
    return System(**values)


def _checked(item: Item) -> Item:
    where = f"The description {item.name}"
    if item.kind not in KINDS:
        raise ValueError(f"{where}: " + unknown_name_message("kind", item.kind, KINDS))
    names = [system.name for system in item.systems]
    if len(set(map(slug, names))) < len(names):
        raise ValueError(f"{where} has two rows of one name: {names}.")
    for system in item.systems:
        if bool(system.models) == bool(system.mean_of):
            raise ValueError(f"{where}: the row {system.name!r} needs models, or mean_of other rows, and not both.")
        for other in system.mean_of:
            item.system(other)
    if item.kind in ("comparison", "singular_values"):
        item.system(item.reference)
    for data, rows in item.printed.items():
        if data not in item.data:
            raise ValueError(f"{where}: " + unknown_name_message("data set of printed numbers", data, item.data))
        for name, numbers in rows.items():
            if item.systems:
                item.system(name)
            if len(numbers) != len(item.columns):
                raise ValueError(f"{where}: {name!r} on {data} has {len(numbers)} of {len(item.columns)} numbers.")
    return item


def read_item(file: Path, paper: str) -> Item:
    """Reads the description of a table or figure.

    Args:
        file: The TOML file.
        paper: The paper's key.

    Raises:
        ValueError: The description is wrong; the message says how.
    """
    given = read_file(file)
    known = {field.name for field in dataclasses.fields(Item)}
    for name in given:
        if name not in known:
            raise ValueError(f"{file}: " + unknown_name_message("key of a description", name, known))
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    values["columns"] = tuple(map(read_column, values.get("columns", ())))
    try:
        values["systems"] = tuple(map(_system, values.get("systems", ())))
    except TypeError as error:
        raise ValueError(f"{file}: a row of systems has a key that does not exist: {error}.") from error
    return _checked(Item(paper=paper, key=file.stem.replace("_", "-"), **values))


def read_paper(key: str) -> Paper:
    """Reads the description of a paper.

    Raises:
        ValueError: There is no such paper; the message names the nearest.
    """
    if key not in PAPERS:
        raise ValueError(unknown_name_message("paper", key, PAPERS))
    given = read_file(_FOLDER / key / "paper.toml")
    data = {name: PaperData(**values) for name, values in given.get("data", {}).items()}
    for name, one in data.items():
        if bool(one.file) == bool(one.made):
            raise ValueError(f"The data set {name!r} of {key} needs a file, or what its made rows are, and not both.")
    return Paper(key, given["title"], given["reference"], data)


def _order(item: Item) -> tuple[int, list[Any]]:
    kind = next((place for place, word in enumerate(("table", "figure")) if item.key.startswith(word)), 2)
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", item.key)]


def items_of(paper: str) -> list[Item]:
    """Reads all tables and figures of a paper, in its order: tables, figures, others.

    Raises:
        ValueError: There is no such paper, or a description is wrong.
    """
    read_paper(paper)
    files = [file for file in sorted((_FOLDER / paper).glob("*.toml")) if file.stem not in _NO_ITEMS]
    return sorted((read_item(file, paper) for file in files), key=_order)


def all_items() -> Iterator[Item]:
    """Reads all tables and figures of all papers."""
    for paper in PAPERS:
        yield from items_of(paper)


def find_item(name: str) -> Item:
    """Reads a table or figure by its name.

    Args:
        name: The paper and the table, such as `"dynint/table-1"`; `_` and `-` are one.

    Raises:
        ValueError: There is none; the message names the nearest.
    """
    paper, _, key = name.replace("_", "-").partition("/")
    known = {item.key: item for item in items_of(paper)}
    if key not in known:
        near = unknown_name_message(f"table or figure of {paper}", key, known)
        raise ValueError(f"{near} `python -m pipelines.papers list` explains them.")
    return known[key]
