"""The settings that a table is run with: the paper's or ours for samples, and the rows that it is run on."""

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
_KEYS = ("seeds", "scale_by_rows", "common", "training", "data")
_STAND_INS = {"movielens_tag": "tags", "amazon_reviews": "sequences", "movielens_1m": "ratings"}
"""Data sets whose rows have fields of their own, which rows in their place need too."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a data set of a table.

    Args:
        name: What the description calls the data set.
        data: The section `[data]` of the settings.
        what: What these rows are, for the report: the file, the sample or what stands in its place.
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
        first_line: What its first lines say that it is.
        seeds: Trainings of each model.
        scale_by_rows: Whether G-FTRL's strengths are scaled to the number of training rows.
        common: Settings of all systems, as sections.
        training: Settings of each group of systems, over the common ones.
        data: The section `[data]` of each data set, and under `sample` where its sample is.
    """

    file: Path
    first_line: str
    seeds: int
    scale_by_rows: bool
    common: Mapping[str, Any]
    training: Mapping[str, Mapping[str, Any]]
    data: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, paper: str, *, sample: bool) -> Settings:
        """Reads the settings of a paper.

        Args:
            paper: The paper's key.
            sample: Whether ours for samples, or the paper's.

        Raises:
            ValueError: What is wrong with the file.
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
        )

    def of_system(self, item: Item, system: System, model: str, rows: Rows) -> JobSettings:
        """The settings of one model on some rows, with the space that is searched.

        Every system of a group has the same space, as far as its model has the options; what the row itself fixes is
        not searched.

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

        if system.training not in self.training:
            what = f"training of {system.name!r} in {item.name}"
            raise ValueError(f"{self.file}: " + unknown_name_message(what, system.training, self.training))
        merged = merge(self.common, self.training[system.training], {"data": rows.data})
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
        # Nothing stands for what is the default anyway.
        options = {path: value for path, value in options.items() if value is not None}
        return dataclasses.replace(
            settings,
            model=dataclasses.replace(settings.model, options=options),
            search=dataclasses.replace(settings.search, space=space),
        )


def merge(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """Puts tables within tables over each other, the later over the earlier; lists and values replace each other.

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
        given: Files by data set, as the user gives them; with them, those alone are run.
        folder: Where rows are written that stand in the place of samples.
        sample: Whether samples do, and made rows where there are none, for what is not given.
        only: The data sets that are run. Default none: all.

    Raises:
        ValueError: A data set that the table does not have; none given, and no samples wanted; a file that is given of
            a data set that is not run.
    """
    from dynctr_tf.datasets.real_rows import real_rows

    for name in (*given, *only):
        if name not in item.data:
            raise ValueError(unknown_name_message(f"data set of {item.name}", name, item.data))
    chosen = [name for name in item.data if name in only] if only else item.data
    if left := [name for name in given if name not in chosen]:
        raise ValueError(f"--data gives {', '.join(left)}, but --only runs {', '.join(chosen)} alone.")
    if not given and not sample:
        raise ValueError(
            f"{item.name} needs the files of its data sets: --data {' '.join(f'{name}=PATH' for name in item.data)}; "
            "some of them do, or --sample for small rows. `python -m pipelines.papers list` says which files."
        )
    found = []
    for name in chosen:
        section = dict(settings.data[name])
        where = section.pop("sample", "none")
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
    """Rows that are made, in the place of a data set that is not there."""
    from pipelines.papers import made_rows

    kind = _STAND_INS.get(section["name"])
    if kind is None:
        data = {"name": "synthetic_ctr", "seed": sum(map(ord, name)) % 1000, "options": made_rows.SYNTHETIC}
        return Rows(name, data, "synthetic clicks of known truth, in the place of the data set", False)
    path = made_rows.write(kind, folder / "made_rows")
    options = {key: value for key, value in section.items() if key != "path"}
    return Rows(name, {**options, "path": str(path)}, "made rows in the format of the data set", False)
