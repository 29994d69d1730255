"""A report as headings, paragraphs, lists, printed text, tables and pictures, as Markdown and as an HTML page."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading.

    Args:
        text: What it says.
        level: 1 for the title, 2 and 3 below it.
    """

    text: str
    level: int = 2


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A paragraph.

    Args:
        text: What it says.
    """

    text: str


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A list.

    Args:
        items: What it says, point by point.
    """

    items: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Printed:
    """What a program printed, line by line.

    Args:
        text: What it printed.
    """

    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Args:
        head: The columns' names.
        rows: The cells.
        strong: Numbers of rows that stand out.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[int] = frozenset()


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture.

    Args:
        path: The PNG file.
        text: What it shows.
    """

    path: Path
    text: str


Block = Heading | Paragraph | Bullets | Printed | Table | Picture


def to_markdown(blocks: Sequence[Block], folder: Path) -> str:
    """Writes a report as Markdown; pictures are named relative to a folder.

    Args:
        blocks: The report.
        folder: Where the file will be.

    Example:

    >>> print(to_markdown([Heading("Title", 1), Table(["a", "b"], [["1", "x|y"]])], Path(".")), end="")
    # Title
    <BLANKLINE>
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    parts = []
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"{'#' * block.level} {block.text}")
        elif isinstance(block, Paragraph):
            parts.append(block.text)
        elif isinstance(block, Bullets):
            parts.append("\n".join(f"* {item}" for item in block.items))
        elif isinstance(block, Printed):
            parts.append(f"```text\n{block.text}\n```")
        elif isinstance(block, Table):
            lines = [_line(block.head), "|" + "---|" * len(block.head)]
            for number, row in enumerate(block.rows):
                lines.append(_line([f"**{cell}**" if cell and number in block.strong else cell for cell in row]))
            parts.append("\n".join(lines))
        else:
            parts.append(f"![{block.text}]({block.path.relative_to(folder).as_posix()})\n\n{block.text}")
    return "\n\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #24292f; max-width: 1180px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.6em; }
h2 { font-size: 1.25em; border-bottom: 1px solid #d0d7de; padding-bottom: .2em; margin-top: 2em; }
h3 { font-size: 1.05em; }
.wide, pre { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92em; margin: .8em 0; }
th, td { padding: .25em .7em; border-bottom: 1px solid #e6e8eb; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #d0d7de; font-weight: 600; vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child { text-align: left; }
tr.strong td { background: #f3f6fa; font-weight: 600; }
img { max-width: 100%; } figure { margin: 1em 0; } figcaption { color: #6e7781; font-size: .92em; }
code { background: #f3f4f6; padding: .1em .3em; border-radius: 3px; }
""".strip()


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Writes a report as one HTML page that needs no other file: the pictures are in it.

    Args:
        title: The page's title.
        blocks: The report.

    Raises:
        FileNotFoundError: A picture is not there.
    """
    parts = []
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"<h{block.level}>{_escaped(block.text)}</h{block.level}>")
        elif isinstance(block, Paragraph):
            parts.append(f"<p>{_escaped(block.text)}</p>")
        elif isinstance(block, Bullets):
            parts.append("<ul>" + "".join(f"<li>{_escaped(item)}</li>" for item in block.items) + "</ul>")
        elif isinstance(block, Printed):
            parts.append(f"<pre>{_escaped(block.text)}</pre>")
        elif isinstance(block, Table):
            head = "".join(f"<th>{_escaped(cell)}</th>" for cell in block.head)
            rows = []
            for number, row in enumerate(block.rows):
                mark = ' class="strong"' if number in block.strong else ""
                rows.append(f"<tr{mark}>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in row) + "</tr>")
            body = "\n".join(rows)
            parts.append(
                f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
            )
        else:
            content = base64.b64encode(block.path.read_bytes()).decode("ascii")
            text = _escaped(block.text)
            parts.append(
                f'<figure><img alt="{text}" src="data:image/png;base64,{content}">\n'
                f"<figcaption>{text}</figcaption></figure>"
            )
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_escaped(title)}</title>\n'
        f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)
