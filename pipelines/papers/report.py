"""The report of a table: the paper's numbers beside ours, tests, which differences agree, and what is different."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynctr_tf.durable_files import write_text
from dynctr_tf.evaluation.json_records import to_plain
from dynctr_tf.evaluation.text_table import TITLES, metric_text, p_value, signed, signed_range
from dynctr_tf.version import __version__
from pipelines.papers.descriptions import Column, Item, Paper
from pipelines.papers.document import Block, Bullets, Heading, Paragraph, Picture, Printed, Table, to_html, to_markdown
from pipelines.papers.measure import Cell, Line, Measured, order_agreement, verdicts

_TITLES = {
    **TITLES,
    "thousand_parameters": "parameters (thousands)",
    "seconds_per_epoch": "s/epoch",
    "rows": "rows",
    "fields": "fields",
    "ids": "ids",
}


@dataclasses.dataclass(frozen=True)
class Report:
    """The content of a report.

    Args:
        paper: The paper.
        item: The table or figure.
        settings_file: The name of the settings file.
        settings: Its first lines.
        seeds: Trainings of each model.
        trials: What was searched, in words.
        measured: The results, data set by data set.
        absent: Data sets that were not run.
        output: The printed output, for items that are another job.
    """

    paper: Paper
    item: Item
    settings_file: str
    settings: str
    seeds: int
    trials: str
    measured: Sequence[Measured]
    absent: Sequence[str] = ()
    output: str = ""


def _title(column: Column) -> str:
    title = _TITLES[column.metric]
    return f"{title}, {column.part}" if column.part else title


def _value(column: Column, value: float) -> str:
    if math.isnan(value):
        return ""
    if column.metric in ("auc", "log_loss"):
        return metric_text(column.metric, value)
    return f"{value:,.1f}" if column.metric in ("thousand_parameters", "seconds_per_epoch") else f"{value:,.0f}"


def _printed_text(column: Column, value: float | None) -> str:
    if value is None:
        return ""
    if column.metric == "auc":
        return f"{value:.4f}"
    if column.metric == "log_loss":
        return f"{value:.4f}" if value > 0.01 else f"{value:.6f}"
    return f"{value:,g}" if column.metric not in ("rows", "ids") else f"{value:,.0f}"


def _interval(column: Column, cell: Cell) -> str:
    if math.isnan(cell.lower):
        return ""
    return f"{metric_text(column.metric, cell.lower)} to {metric_text(column.metric, cell.upper)}"


def _difference(cell: Cell) -> str:
    if math.isnan(cell.difference):
        return ""
    return f"{signed(cell.difference, 4)} {signed_range(cell.difference_lower, cell.difference_upper, 4)}"


def _as_printed(item: Item) -> list[Block]:
    """The table as the paper prints it, all its data sets side by side."""
    if not item.printed:
        return [Paragraph(f"The paper says: {item.words}")] if item.words else []
    names = [system.name for system in item.systems] or ["data set"]
    head = ["as printed", *(f"{data}: {_title(column)}" for data in item.printed for column in item.columns)]
    rows = []
    for name in names:
        cells = [name]
        for numbers in item.printed.values():
            given = numbers.get(name)
            cells += [_printed_text(c, None if given is None else given[i]) for i, c in enumerate(item.columns)]
        if any(cells[1:]):
            rows.append(cells)
    blocks: list[Block] = [Heading("The paper's table", 2), Table(head, rows)]
    if item.words:
        blocks.append(Paragraph(f"The paper says: {item.words}"))
    return blocks


def _ours(item: Item, measured: Measured) -> list[Block]:
    """One data set: a table for each score, and one for the other columns; columns without a number are left out."""
    orders = _orders(item, measured)
    strong = frozenset(number for number, line in enumerate(measured.lines) if line.name == item.reference)
    blocks: list[Block] = []
    others = []
    for place, column in enumerate(item.columns):
        if column.metric not in ("auc", "log_loss"):
            others.append(place)
            continue
        head = ["", "runs", "printed", "ours", "95 % interval", f"printed, minus {item.reference}",
                f"ours, minus {item.reference}", "p", "the paper's order"]  # fmt: skip
        rows: list[list[str]] = []
        for line in measured.lines:
            cell = line.cells[place]
            row = [line.name, str(line.runs), _printed_text(column, line.printed[place]), _value(column, cell.value)]
            gain, word = orders.get((line.name, column), ("", ""))
            p = "" if math.isnan(cell.p) else p_value(cell.p)
            rows.append([*row, _interval(column, cell), gain, _difference(cell), p, word])
        blocks += [Heading(_title(column), 3), _without_empty(head, rows, strong)]
        agreement = order_agreement(measured.lines, place)
        if agreement is not None:
            blocks.append(
                Paragraph(
                    f"Order of the {agreement.rows} rows with a printed number: Kendall's rank correlation with the "
                    f"printed order is {signed(agreement.kendall_tau, 2)} (1 is the same order, 0 no relation); a "
                    f"random order agrees at least as well with a probability of {p_value(agreement.p)}."
                )
            )
    if others:
        head, rows = [""], []
        for place in others:
            title = _title(item.columns[place])
            head += [f"{title}, printed", f"{title}, ours"]
        for line in measured.lines:
            row = [line.name]
            for place in others:
                column = item.columns[place]
                row += [_printed_text(column, line.printed[place]), _value(column, line.cells[place].value)]
            rows.append(row)
        blocks.append(_without_empty(head, rows, strong))
    return blocks


def _orders(item: Item, measured: Measured) -> dict[tuple[str, Column], tuple[str, str]]:
    """By row and column the printed difference to the reference, and whether it shows here."""
    reference = next((line for line in measured.lines if line.name == item.reference), None)
    if reference is None:
        return {}
    return {
        (line.name, column): (signed(printed, 4), word)
        for line in measured.lines
        for column, printed, _, word in verdicts(item, line, reference)
    }


def _without_empty(head: Sequence[str], rows: Sequence[Sequence[str]], strong: frozenset[int]) -> Table:
    kept = [place for place in range(len(head)) if place == 0 or any(row[place] for row in rows)]
    return Table([head[place] for place in kept], [[row[place] for place in kept] for row in rows], strong)


def _costs(measured: Measured) -> list[Block]:
    rows = [
        [line.name, f"{line.parameters:,.0f}", f"{line.rows_per_second:,.0f}",
         f"{measured.counts['train'] / line.rows_per_second:,.1f}", f"{line.peak_mib:,.0f}"]
        for line in measured.lines
        if not math.isnan(line.rows_per_second)
    ]  # fmt: skip
    if not rows:
        return []
    return [Heading("Cost", 3), Table(["", "parameters", "rows/s", "s/epoch", "peak MiB"], rows)]


def blocks_of(report: Report, folder: Path) -> list[Block]:
    """Composes a report.

    Args:
        report: Its content.
        folder: The folder of its pictures.
    """
    item = report.item
    blocks: list[Block] = [Heading(f"{item.name}: {item.title}", 1)]
    blocks.append(Paragraph(f"{report.paper.title} ({report.paper.reference}), repeated by dynctr_tf {__version__}."))
    if report.output:
        said = Paragraph(f"python -m {' '.join(item.command)} printed:")
        return [*blocks, *_as_printed(item), Heading("Ours", 2), said, Printed(report.output.strip("\n"))]
    blocks += _as_printed(item)
    blocks += [Heading("What is different here", 2), Bullets(_differences(report))]
    for measured in report.measured:
        counts = ", ".join(f"{rows:,} {split}" for split, rows in measured.counts.items())
        blocks.append(Heading(f"Ours on {measured.data}", 2))
        blocks.append(Paragraph(f"Rows: {measured.what}; {counts}; {measured.clicks:,.0f} clicks among the test rows."))
        blocks += _ours(item, measured)
        blocks += [Picture(folder / name, text) for name, text in measured.pictures.items()]
        blocks += _costs(measured)
        if measured.notes:
            blocks += [Heading("Notes", 3), Bullets(measured.notes)]
        if measured.settings:
            used = [f"{name}: {text}" for name, text in measured.settings.items()]
            blocks += [Heading("Settings that were used", 3), Bullets(used)]
    return blocks


def _differences(report: Report) -> list[str]:
    item, lines = report.item, []
    for measured in report.measured:
        paper = report.paper.data.get(measured.data)
        total = sum(measured.counts.values())
        source = paper.file or paper.made if paper else ""
        whole = f"; the whole data set has {paper.rows:,} rows of {paper.fields} fields ({source})" if paper else ""
        lines.append(f"{measured.data}: {measured.what}, {total:,} rows{whole}.")
    for name in report.absent:
        made = name in report.paper.data and report.paper.data[name].made
        how = f"--only {name} runs it" if made else f"--data {name}=PATH runs it on the whole data"
        lines.append(f"{name}: not run here; {how}.")
    lines.append(f"Settings ({report.settings_file}): {report.settings}")
    lines.append(f"{report.seeds} training seed{'s' if report.seeds != 1 else ''} of each model; {report.trials}.")
    lines.append(
        "Intervals are of 95 % over test rows and seeds; p is of a paired test on the same rows, by Holm's rule. "
        "The paper's order shows here where p is below 0.05 and the difference has the printed sign."
    )
    if any(line.name.startswith("FuxiCTR") for measured in report.measured for line in measured.lines):
        lines.append(
            "FuxiCTR trains on the same encoded rows with Adam, our embedding size and hidden units, without batch "
            "normalisation of hidden layers; a search draws its rates from where those of ours are drawn, and dropout "
            "and the penalty of its tables beside them."
        )
    return [*lines, *item.remarks]


def write_report(report: Report, folder: Path) -> list[Path]:
    """Writes `report.md`, `report.html` and `report.json` into a folder, and returns their paths.

    Args:
        report: Its content.
        folder: The folder of the pictures.
    """
    blocks = blocks_of(report, folder)
    files = [folder / f"report.{ending}" for ending in ("md", "html", "json")]
    write_text(files[0], to_markdown(blocks, folder))
    write_text(files[1], to_html(f"{report.item.name}: {report.item.title}", blocks))
    write_text(files[2], json.dumps(_plain(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return files


def _plain(report: Report) -> Mapping[str, Any]:
    item = report.item
    return {
        "item": item.name,
        "title": item.title,
        "paper": report.paper.reference,
        "dynctr_tf": __version__,
        "columns": [column.text for column in item.columns],
        "reference": item.reference,
        "printed": {
            data: {name: list(numbers) for name, numbers in rows.items()} for data, rows in item.printed.items()
        },
        "words": item.words,
        "different": [] if report.output else _differences(report),
        "seeds": report.seeds,
        "absent": list(report.absent),
        "output": report.output,
        "measured": [
            {
                **to_plain(measured),
                "lines": [_line(line) for line in measured.lines],
                "orders": {
                    column.text: to_plain(agreement)
                    for place, column in enumerate(item.columns)
                    if column.metric in ("auc", "log_loss")
                    and (agreement := order_agreement(measured.lines, place)) is not None
                },
            }
            for measured in report.measured
        ],
    }


def _line(line: Line) -> Any:
    return {**to_plain(line), "cells": [to_plain(cell) for cell in line.cells]}
