"""The settings of a table, the paper's or ours for samples, and its rows."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynctr_tf.jobs.settings import JobSettings, job_settings
from dynctr_tf.jobs.settings_file import read_file
from dynctr_tf.nearest import unknown_name_message
from pipelines.papers.descriptions import Item, System

_FOLDER = Path(__file__).parent
_KEYS = ("seeds", "scale_by_rows", "common", "training", "of_model", "data")
MADE = "synthetic_ctr"
"""The row source whose rows the project makes: a data set of it needs no file."""

_STAND_INS = {"movielens_tag": "tags", "amazon_reviews": "sequences", "movielens_1m": "ratings"}
"""Data sets whose tables need their fields, so that made rows need these fields too."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a data set of a table.

    Args:
        name: The name of the data set in the description.
        data: The section `[data]` of the settings.
        what: What these rows are, for the report: the file, the sample or made rows.
        is_whole: Whether they are the whole data set that the user gave.
    """

    name: str
    data: Mapping[str, Any]
    what: str
    is_whole: bool


@dataclasses.dataclass(frozen=True)
class Settings:
    """A settings file of a paper.

    Args:
        file: The file.
        first_line: Its first lines, which describe it.
        seeds: Trainings of each model.
        scale_by_rows: Whether G-FTRL's strengths are scaled to the number of training rows.
        common: Settings of all systems, as sections.
        training: Settings of each group of systems, over the common ones.
        data: The section `[data]` of each data set, with the place of its sample under `sample`.
        of_model: Settings of single models, over those of their group. Default: none.
    """

    file: Path
    first_line: str
    seeds: int
    scale_by_rows: bool
    common: Mapping[str, Any]
    training: Mapping[str, Mapping[str, Any]]
    data: Mapping[str, Mapping[str, Any]]
    of_model: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, paper: str, *, sample: bool) -> Settings:
        """Reads the settings of a paper.

        Args:
            paper: The paper's key.
            sample: Whether to read ours for samples; else the paper's.


        Raises:
            ValueError: The file is wrong; the message says how.
        """
        file = _FOLDER / paper / ("settings_sample.toml" if sample else "settings.toml")
        given = read_file(file)
        for name in given:
            if name not in _KEYS:
                raise ValueError(f"{file}: " + unknown_name_message("key of the settings of a paper", name, _KEYS))
        lines = []
        for line in file.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            lines.append(line.lstrip("# "))
        return cls(
            file,
            " ".join(lines),
            given.get("seeds", 3),
            given.get("scale_by_rows", False),
            given.get("common", {}),
            given.get("training", {}),
            given.get("data", {}),
            given.get("of_model", {}),
        )

    def of_system(self, item: Item, system: System, model: str, rows: Rows) -> JobSettings:
        """The settings of one model on some rows, with the space that is searched.

        Every system of a group has the same space, without options that its model does not have; options that the row
        itself fixes are not searched.

        Args:
            item: The table.
            system: The row.
            model: One of its models.
            rows: The rows.

        Raises:
            ValueError: A group that the settings lack, or a setting that is refused, with the file's name.
        """
        from dynctr_tf.jobs.variants import Variant, check_options_of_all, settings_of
        from dynctr_tf.models.catalogue import model_entry

        for name in self.of_model:
            model_entry(name)  # an unknown one is an error
        if system.training not in self.training:
            what = f"training of {system.name!r} in {item.name}"
            raise ValueError(f"{self.file}: " + unknown_name_message(what, system.training, self.training))
        merged = merge(self.common, self.training[system.training], self.of_model.get(model, {}), {"data": rows.data})
        searched = {"search": {"space": {"model": dict(system.search)}}} if system.search else {}
        merged = merge(merged, searched)
        merged.setdefault("model", {})["name"] = model
        variant = Variant(model, model, {})
        try:
            given = job_settings(merged)
            check_options_of_all(given, [variant])
            settings = settings_of(given, variant)
        except ValueError as error:
            raise ValueError(f"{self.file}, {system.name} of {item.name}: {error}") from error
        known = model_entry(model).defaults
        for path in system.options:
            if path not in known:
                what = f"option of {system.name!r} in {item.name}, model {model!r}"
                raise ValueError(unknown_name_message(what, path, known))
        space = dict(settings.search.space)
        if "model" in space:
            space["model"] = {path: values for path, values in space["model"].items() if path not in system.options}
        options = {**settings.model.options, **system.options}
        # An option that equals the default is left out.
        options = {path: value for path, value in options.items() if value is not None}
        return dataclasses.replace(
            settings,
            model=dataclasses.replace(settings.model, options=options),
            search=dataclasses.replace(settings.search, space=space),
        )


def merge(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """Merges tables within tables; values and lists of later tables replace earlier ones.

    Example:

    >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"b": 4})
    {'a': {'x': 1, 'y': 3}, 'b': 4}
    """
    merged: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            old = merged.get(key)
            both = isinstance(old, Mapping) and isinstance(value, Mapping)
            merged[key] = merge(old, value) if both and isinstance(old, Mapping) else copy.deepcopy(value)
    return merged


def rows_of(
    item: Item, settings: Settings, given: Mapping[str, str], folder: Path, *, sample: bool, only: Sequence[str] = ()
) -> list[Rows]:
    """Finds the rows of each data set of a table.

    Args:
        item: The table.
        settings: The settings that it is run with.
        given: Files by data set, from the user; if any are given, only these data sets are run.
        folder: Where made rows are written that replace samples.
        sample: Whether data sets without a file use samples, or made rows if there are none.
        only: The data sets that are run. Default none: all. A data set that the project makes is run with the samples,
            or where it is named here.

    Raises:
        ValueError: A data set that the table does not have; none given, and no samples wanted; a file that is given of
            a data set that is not run, or that the project makes.
    """
    from dynctr_tf.datasets.real_rows import real_rows

    for name in (*given, *only):
        if name not in item.data:
            raise ValueError(unknown_name_message(f"data set of {item.name}", name, item.data))
    chosen = [name for name in item.data if name in only] if only else item.data
    if left := [name for name in given if name not in chosen]:
        raise ValueError(f"--data gives {', '.join(left)}, but --only runs {', '.join(chosen)} alone.")
    made = [name for name in chosen if settings.data[name]["name"] == MADE]
    if wrong := [name for name in given if name in made]:
        raise ValueError(f"The project makes the rows of {', '.join(wrong)}; name it under --only, and give no file.")
    if not given and not sample and not (only and made):
        files = " ".join(f"{name}=PATH" for name in item.data if name not in made)
        raise ValueError(
            f"{item.name} needs the files of its data sets: --data {files}; some of them are enough; or give --sample "
            f"for small data{f', or --only {made[0]}' if made else ''}. `python -m pipelines.papers list` names the "
            "files."
        )
    found = []
    for name in chosen:
        section = dict(settings.data[name])
        where = section.pop("sample", "none")
        if name in made:
            if sample or name in only:
                found.append(Rows(name, section, "clicks with known probabilities, made by the project", not sample))
            continue
        if name in given:
            found.append(Rows(name, {**section, "path": given[name]}, f"the file {Path(given[name]).name}", True))
            continue
        if not sample:
            continue
        try:
            if where == "none":
                raise ValueError("There is no sample.")
            path = real_rows(*where.split("/"))
            found.append(Rows(name, {**section, "path": str(path)}, f"a sample, {where}", False))
        except ValueError:
            found.append(_stand_in(name, section, folder))
    return found


def _stand_in(name: str, section: Mapping[str, Any], folder: Path) -> Rows:
    """Made rows in place of an absent data set."""
    from pipelines.papers import made_rows

    kind = _STAND_INS.get(section["name"])
    if kind is None:
        data = {"name": MADE, "seed": sum(map(ord, name)) % 1000, "options": made_rows.SYNTHETIC}
        return Rows(name, data, "synthetic clicks with known probabilities, in place of the data set", False)
    path = made_rows.write(kind, folder / "made_rows")
    options = {key: value for key, value in section.items() if key != "path"}
    return Rows(name, {**options, "path": str(path)}, "made rows in the format of the data set", False)
