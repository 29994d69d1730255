"""Cuts delimited text into blocks of whole rows, and finds the line of any row.

pyarrow parses a block at full speed. But it does not say on which line a bad row is (blank lines and line breaks inside
quotes count), nor that a quote was never closed. So the text is cut here, where both are known, and a block with an
error is read a second time, row by row.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.text_streams import TextStream

DELIMITERS: tuple[str, ...] = (",", "\t", ";", "|", "\x01", "^", "~", ":", " ")
"""The characters that are tried as a delimiter, the usual ones first."""

_LONGEST_ROW = 64 << 20


class Block(NamedTuple):
    """Whole rows of a file.

    Attributes:
        data: Their bytes.
        first_line: The 1-based line of the file on which they start.
    """

    data: bytes
    first_line: int


class Record(NamedTuple):
    """One row inside a block.

    Attributes:
        start: Its first byte.
        end: The byte after its last, the line end not included.
        line: The 1-based line of the file on which it starts.
        num_values: How many values it has.
    """

    start: int
    end: int
    line: int
    num_values: int


def _num_lines(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


class Dialect:
    """How rows and values are separated in a text, as pyarrow does it.

    A quote has a meaning only at the start of a value; inside a quoted value it is doubled. `\\n`, `\\r\\n`
    and `\\r` end a row. A blank line is not a row.

    Args:
        delimiter: What separates values, one ASCII character.
        quote: What encloses a value that has delimiters or line ends in it, one ASCII character; `None` where no
            character does.

    Raises:
        ValueError: Not one ASCII character, or both the same.
    """

    def __init__(self, delimiter: str, quote: str | None) -> None:
        for what, mark in (("delimiter", delimiter), ("quote", quote)):
            if mark is None and what == "quote":
                continue
            if not isinstance(mark, str) or len(mark) != 1 or not mark.isascii() or mark in "\r\n":
                raise ValueError(f"The {what} must be one ASCII character and no line end, got {mark!r}.")
        if delimiter == quote:
            raise ValueError(f"Delimiter and quote are both {delimiter!r}.")
        self.delimiter = delimiter
        self.quote = quote
        self._delimiter = delimiter.encode()
        self._quote = quote.encode() if quote is not None else None
        d = re.escape(self._delimiter)
        value = rb"[^" + d + rb"\r\n]*"
        if self._quote is not None:
            q = re.escape(self._quote)
            # A quote that is never closed encloses all that follows, as in pyarrow.
            quoted = q + rb"[^" + q + rb"]*(?:" + q + q + rb"[^" + q + rb"]*)*(?:" + q + rb"|\Z)"
            value = rb"(?:" + quoted + rb")?" + value
        self._value = re.compile(value)
        self._record = re.compile(value + rb"(?:" + d + value + rb")*")

    def records(self, data: bytes, first_line: int = 1) -> list[Record]:
        """Lists the rows of a text, blank lines left out. Costs about a microsecond per row or value."""
        found: list[Record] = []
        if self._quote is None or self._quote not in data:
            start, line = 0, first_line
            for text in data.splitlines(keepends=True):
                end = start + len(text.rstrip(b"\r\n"))
                if end > start:
                    found.append(Record(start, end, line, data.count(self._delimiter, start, end) + 1))
                start += len(text)
                line += 1
            return found
        start, line = 0, first_line
        while start < len(data):
            match = self._record.match(data, start)
            end = match.end() if match is not None else start
            if end > start:
                text = data[start:end]
                values = text.count(self._delimiter) + 1
                if self._quote in text:
                    values, position = 1, self._end_of_value(text, 0)
                    while position < len(text):
                        values, position = values + 1, self._end_of_value(text, position + 1)
                found.append(Record(start, end, line, values))
                line += _num_lines(text)
            start = end + (2 if data[end : end + 2] == b"\r\n" else 1)
            line += 1
        return found

    def first_record(self, data: bytes, first_line: int = 1) -> Record | None:
        """Returns the first row of a text, blank lines left out; `None` where there is none."""
        start, line = 0, first_line
        while start < len(data):
            match = self._record.match(data, start)
            end = match.end() if match is not None else start
            if end > start:
                return self.records(data[start:end], line)[0]._replace(start=start, end=end)
            start = end + (2 if data[end : end + 2] == b"\r\n" else 1)
            line += 1
        return None

    def _end_of_value(self, text: bytes, start: int) -> int:
        match = self._value.match(text, start)
        return match.end() if match is not None else start

    def values(self, record: bytes) -> list[str]:
        """Returns the values of one row, without the quotes.

        Raises:
            UnicodeDecodeError: They are not UTF-8.
        """
        text = io.StringIO(record.decode(), newline="")
        if self.quote is None:
            return next(csv.reader(text, delimiter=self.delimiter, quoting=csv.QUOTE_NONE))
        return next(csv.reader(text, delimiter=self.delimiter, quotechar=self.quote))

    def _row_ends(self, data: bytes) -> np.ndarray | None:
        """Positions of the `\\n` that end rows; `None` where quotes stand in unusual places."""
        if self._quote is None:
            raise RuntimeError("Only called where quotes have a meaning.")
        text = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(text == self._quote[0])
        before = np.array([self._delimiter[0], 10, 13, self._quote[0]], np.uint8)
        opening, closing = quotes[0::2], quotes[1::2]
        if not np.isin(text[opening[opening > 0] - 1], before).all():
            return None
        if not np.isin(text[closing[closing < len(text) - 1] + 1], before).all():
            return None
        ends = np.flatnonzero(text == 10)
        # A line end is inside a value if the number of quotes before it is odd.
        return ends[np.searchsorted(quotes, ends) % 2 == 0]

    def end_of_last_row(self, data: bytes) -> int:
        """Returns the position after the last `\\n` that ends a row; 0 where there is none.

        `data` starts at the start of a row.
        """
        if self._quote is None or self._quote not in data:
            return data.rfind(b"\n") + 1
        ends = self._row_ends(data)
        if ends is not None:
            return int(ends[-1]) + 1 if len(ends) else 0
        for record in reversed(self.records(data)):
            if data[record.end : record.end + 1] == b"\n":
                return record.end + 1
            if data[record.end : record.end + 2] == b"\r\n":
                return record.end + 2
        return 0

    def num_records(self, data: bytes) -> int:
        """Counts the rows of a text, blank lines left out."""
        blank = b"\n\n" in data or b"\r" in data or data.startswith(b"\n")
        if not blank and (self._quote is None or self._quote not in data):
            return data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
        if not blank:
            ends = self._row_ends(data)
            if ends is not None:
                last = int(ends[-1]) + 1 if len(ends) else 0
                return len(ends) + (last < len(data))
        return len(self.records(data))

    def unclosed_quote(self, data: bytes, first_line: int) -> int | None:
        """Returns the line of the row in which a quote is opened and never closed; `None` where all are closed."""
        if self._quote is None or self._quote not in data:
            return None
        if data.count(self._quote) % 2 == 0 and self._row_ends(data) is not None:
            return None
        records = self.records(data, first_line)
        last = records[-1]
        text, start = data[last.start : last.end], 0
        while True:
            end = self._end_of_value(text, start)
            value = text[start:end]
            if value.startswith(self._quote):
                # Every quote inside is doubled, and the closing one is single.
                body = value[1:].replace(self._quote * 2, b"")
                if self._quote not in body:
                    return last.line
            if end >= len(text):
                return None
            start = end + 1


def opened(path: Path | RowFile, encoding: str | None = None) -> TextStream:
    """Opens a file of text as UTF-8 and decompresses it as its content requires; see `TextStream`."""
    return TextStream(path, encoding)


def recognised_delimiter(start: bytes, quote: str | None, wanted: Collection[str] = (), first: str = ",") -> str:
    """Finds in the first row of a text what separates its values.

    Args:
        start: The start of the text, UTF-8.
        quote: As in `Dialect`.
        wanted: Names of columns. The delimiter that finds most of them in the first row is chosen. Default `()`: the
            one that gives the most values.
        first: The delimiter that is taken where others do no better. Default `","`.

    Example:

    >>> recognised_delimiter(b"user;click\\n1;0\\n", '"'), recognised_delimiter(b"a,b;c\\n", None, wanted=["b;c"])
    (';', ',')
    """
    best, most = first, (-1, -1)
    for delimiter in (first, *(mark for mark in DELIMITERS if mark != first)):
        if delimiter == quote:
            continue
        dialect = Dialect(delimiter, quote)
        record = dialect.first_record(start)
        if record is None:
            return first
        text = start[record.start : record.end].decode(errors="replace")
        names = [name.strip() for name in dialect.values(text.encode())]
        found = len(set(wanted).intersection(names))
        # Names may contain blanks too, so a blank has to find more of the wanted names.
        score = (found, len(names) if delimiter != " " else 0)
        if score > most:
            best, most = delimiter, score
    return best


def blocks(path: Path | RowFile, dialect: Dialect, block_bytes: int, encoding: str | None = None) -> Iterator[Block]:
    """Reads a file in blocks of whole rows, in UTF-8.

    Args:
        path: Text, plain or compressed, with a byte order mark or without.
        dialect: How rows and values are separated.
        block_bytes: About how large a block is.
        encoding: The encoding of the text, as in `TextStream`. Default `None`.

    Raises:
        ValueError: A broken file, text that is not in the encoding, a quote that is never closed, or a row of
            more than 64 MiB.
    """
    line, rest = 1, b""
    with opened(path, encoding) as stream:
        first = True
        while True:
            try:
                # The size grows with text without a row end, so that a long row is not searched again and again.
                read = stream.read(max(block_bytes, len(rest)))
            except OSError as error:
                raise ValueError(
                    f"{path}: cannot be read after line {line + _num_lines(rest)}: {error}. "
                    "The file is truncated or damaged; fetch it again."
                ) from error
            if first:
                read, first = read.removeprefix(codecs.BOM_UTF8), False
            data = rest + read
            end = dialect.end_of_last_row(data) if read else len(data)
            if len(data) - end > _LONGEST_ROW:
                raise ValueError(
                    f"{path}, line {line + _num_lines(data[:end])}: the row that starts here is longer than "
                    f"{_LONGEST_ROW >> 20} MiB; a quote {dialect.quote!r} may be opened and never closed. Close it, "
                    "or give quote=None where quotes have no meaning."
                )
            if not read:
                unclosed = dialect.unclosed_quote(data, line)
                if unclosed is not None:
                    raise ValueError(
                        f"{path}, line {unclosed}: a quote {dialect.quote!r} is opened in this row and never "
                        "closed, so the rest of the file would be one value. Close it, or give quote=None where "
                        "quotes have no meaning."
                    )
            if end:
                yield Block(data[:end], line)
                line += _num_lines(data[:end])
            if not read:
                return
            rest = data[end:]
