"""Repeats the tables and figures of the papers, with the paper's numbers beside ours.

`python -m pipelines.papers list` shows every table and figure of DynInt, DPN, APG and OptMSM: what data it needs, how
long it takes, or why nothing public can repeat it. `python -m pipelines.papers run dynint/table-1 --data
criteo=train.txt avazu=train.gz` runs one with the paper's settings; started again after a kill, it goes on where it
stopped. `--sample` runs it on small data in minutes, with our settings: on samples if `DYNCTR_DATA` names a folder that
has them, else on made rows. The report is `report.md`, `report.html` and `report.json` in a folder under `--output`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import errors_as_messages

if TYPE_CHECKING:
    from pipelines.papers.experiment import Settings


def _listing(names: Sequence[str]) -> str:
    """The list of all items, or of some papers."""
    from pipelines.papers.descriptions import PAPERS, items_of, read_paper
    from pipelines.papers.estimates import duration, estimate

    lines = []
    for key in names or PAPERS:
        paper = read_paper(key)
        lines += [f"{paper.title} ({paper.reference})", ""]
        for item in items_of(key):
            lines.append(f"  {item.name:22}{item.title}")
            if item.impossible:
                lines.append(f"{'':24}not run: {item.impossible}")
            elif item.kind == "command":
                lines.append(f"{'':24}runs {' '.join(item.command)}, about {duration(item.minutes / 60.0)}, no data")
            elif item.kind == "statistics":
                lines.append(f"{'':24}needs {', '.join(item.data)}; takes as long as reading the files")
            else:
                small, whole = (estimate(item, paper, sample=sample) for sample in (True, False))
                lines += [
                    f"{'':24}needs {', '.join(item.data)}",
                    f"{'':24}--sample: {small.trainings} trainings, {duration(small.hours)}; with the paper's search: "
                    f"{whole.trainings:,} trainings, {duration(whole.hours)}, {whole.gibibytes:.1f} GiB",
                ]
        lines.append("")
        for name, data in paper.data.items():
            where = f"--data {name}=PATH: {data.file}" if data.file else f"{name}, without a file: {data.made}"
            lines.append(f"  {where}")
        lines.append("")
    lines += [
        "Times are those of one training after the other on two cores, computed from measured rates",
        "(pipelines/papers/rates.toml); --workers and --part run several at a time; --trials N draws N "
        "settings, without a grid.",
    ]
    return "\n".join(lines)


def _files(given: Sequence[str]) -> Mapping[str, str]:
    """Reads `NAME=PATH`.

    Raises:
        ValueError: Another form, or a name twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, separator, path = text.partition("=")
        if not separator or not name or not path:
            raise ValueError(f"--data takes NAME=PATH, such as criteo=train.txt, got {text!r}.")
        if name in found:
            raise ValueError(f"--data {name} is given twice: {found[name]} and {path}.")
        found[name] = path
    return found


def _part(text: str) -> tuple[int, int]:
    """Reads `1/3`.

    Raises:
        ValueError: Another form.
    """
    number, _, parts = text.partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise ValueError(f"--part takes which part of how many, such as 1/3, got {text!r}.")
    return int(number), int(parts)


def run_item(arguments: argparse.Namespace) -> list[Path]:
    """Runs a table or figure and writes its report; returns the report's files, none if only a part is trained.

    Raises:
        ValueError: The arguments are wrong; the message says how.
        RuntimeError: A training failed.
    """
    from dynctr_tf.metrics.bootstrap import checked_bootstrap
    from pipelines.compare import FuxiCTR
    from pipelines.papers.descriptions import find_item, read_paper
    from pipelines.papers.experiment import Settings, rows_of
    from pipelines.papers.report import Report, write_report
    from pipelines.papers.run import Plan, check_rows, run_command, run_rows, statistics_of

    item = find_item(arguments.item)
    paper = read_paper(item.paper)
    if (arguments.fuxictr_python is None) != (arguments.fuxictr_zoo is None):
        raise ValueError("--fuxictr-python and --fuxictr-zoo go together: the package lacks most of its models.")
    for name in ("seeds", "workers"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(arguments, name)}.")
    checked_bootstrap(arguments.replicates, 0.95)
    fuxictr = FuxiCTR(arguments.fuxictr_python, arguments.fuxictr_zoo) if arguments.fuxictr_python else None
    if item.kind == "none":
        print(f"{item.name}: nothing is run: {item.impossible}.")
        return []
    settings = Settings.read(item.paper, sample=arguments.sample)
    seeds = arguments.seeds or settings.seeds
    plan = Plan(item, settings, seeds, arguments.trials, arguments.workers, arguments.output.absolute(),
                arguments.replicates, fuxictr, _part(arguments.part))  # fmt: skip
    if item.kind == "command":
        report = Report(paper, item, "", "", 1, "", (), output=run_command(plan))
    else:
        given = _files(arguments.data)
        rows = rows_of(item, settings, given, plan.output, sample=arguments.sample, only=arguments.only)
        print(f"{item.name} with {settings.file.name}: {settings.first_line}")
        for one in rows:
            check_rows(plan, one)
        measure = statistics_of if item.kind == "statistics" else run_rows
        measured = []
        for one in rows:
            print(f"\n{item.name} on {one.name}: {one.what}")
            found = measure(plan, one)
            if found is not None:
                measured.append(found)
        if plan.part[1] > 1:
            print(f"part {arguments.part} is trained; the same command without --part writes the report")
            return []
        absent = [name for name in item.data if name not in [one.name for one in rows]]
        report = Report(
            paper,
            item,
            settings.file.name,
            settings.first_line,
            seeds,
            _searched(plan.trials, settings),
            measured,
            absent,
        )
    plan.folder.mkdir(parents=True, exist_ok=True)
    files = write_report(report, plan.folder)
    print("\n" + files[0].read_text(encoding="utf-8"))
    print("report: " + ", ".join(map(str, files)))
    return files


def _searched(trials: int | None, settings: Settings) -> str:
    """What was searched, in words."""
    if trials:
        return (
            f"{trials} drawn sets of hyper-parameters for each model beside the given settings, the same space for all"
        )
    if trials is None and settings.common.get("search", {}).get("tuner") == "grid":
        return "the whole grid of each model, the same space for all of a group"
    return "no search: every model has the given settings"


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, and lists or runs."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.papers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="list the tables and figures")
    listing.add_argument("papers", nargs="*", help="dynint, dpn, apg, optmsm (default all)")
    listing.add_argument("--json", action="store_true", help="the names alone, as JSON")
    running = commands.add_parser("run", help="run a table or figure and write its report")
    running.add_argument("item", help="such as dynint/table-1, see list")
    running.add_argument("--data", nargs="+", default=[], metavar="NAME=PATH", help="files of the data sets, see list")
    running.add_argument("--sample", action="store_true", help="small data, in minutes, with our settings")
    running.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="run these data sets of the table alone (default all)"
    )
    running.add_argument("--seeds", type=int, help="trainings of each model (default: those of the settings)")
    running.add_argument(
        "--trials", type=int, help="draw this many sets of hyper-parameters in place of the grid; 0: none"
    )
    running.add_argument("--workers", type=int, default=1, help="trainings at a time (default 1)")
    running.add_argument("--part", default="1/1", help="train every third model alone, as 1/3, for several machines")
    running.add_argument("--output", type=Path, default=Path("runs/papers"), help="folder (default runs/papers)")
    running.add_argument("--replicates", type=int, default=1000, help="bootstrap resamples (default 1000)")
    running.add_argument("--fuxictr-python", help="interpreter that has torch and fuxictr, to train its models too")
    running.add_argument("--fuxictr-zoo", help="the model_zoo folder of a FuxiCTR checkout")
    given = parser.parse_args(sys.argv[1:] if arguments is None else list(arguments))
    with errors_as_messages(parser):
        if given.command == "list" and given.json:
            from pipelines.papers.descriptions import PAPERS, items_of

            print(json.dumps([item.name for paper in given.papers or PAPERS for item in items_of(paper)]))
        elif given.command == "list":
            print(_listing(given.papers))
        else:
            run_item(given)
