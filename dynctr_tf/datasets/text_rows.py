"""What files of text have in common, CSV and JSON lines: their start, and blocks of whole rows."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Iterator
from typing import Any

from dynctr_tf.datasets.csv_blocks import Block, Dialect, blocks, opened
from dynctr_tf.datasets.file_rows import FileOptions, FileRows
from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_pieces import Piece

START_BYTES = 1 << 16
"""So many bytes of a file of text show its format and its header."""

_BLOCK_BYTES = 2 << 20
_LOG = logging.getLogger(__name__)


def text_start(file: RowFile, encoding: str | None) -> bytes:
    """Returns the first bytes of a file of text, in UTF-8.

    Args:
        file: The file.
        encoding: As in `TabularFile`.

    Raises:
        ValueError: The file cannot be read, is empty, or is not text.
    """
    try:
        with opened(file, encoding) as stream:
            start = stream.read(START_BYTES)
            if encoding is None and stream.encoding != "utf-8":
                _LOG.warning("%s is read as %s, by the mark that it starts with.", file, stream.encoding)
    except OSError as error:
        raise ValueError(
            f"{file}: cannot be read: {error}. The file is truncated or damaged; fetch it again."
        ) from error
    start = start.removeprefix(codecs.BOM_UTF8)
    if not start:
        raise ValueError(f"{file}: the file is empty. Give a file that has a header and rows.")
    if b"\0" in start[:64] and encoding is None:
        order = "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
        raise ValueError(
            f'{file}: is not UTF-8 text, it has bytes of 0. If it is UTF-16 without a mark, give encoding="{order}".'
        )
    return start


class TextRows(FileRows):
    """Reads a file of text in blocks of whole rows.

    Args:
        file: The file.
        options: How it is read.
        dialect: How its rows are separated.
    """

    def __init__(self, file: RowFile, options: FileOptions, dialect: Dialect) -> None:
        super().__init__(file, options)
        self.dialect = dialect

    @property
    def text_options(self) -> dict[str, Any]:
        """How the text of the file is read, as JSON has it."""
        return {**super().text_options, "dialect": [self.dialect.delimiter, self.dialect.quote]}

    def blocks(self) -> Iterator[Block]:
        """Reads blocks of rows."""
        return blocks(self.file, self.dialect, _BLOCK_BYTES, self.options.encoding)

    def blocks_of(self, piece: Piece | None) -> Iterator[Block]:
        """Returns the block of a piece that holds one; else reads those of the file."""
        return self.blocks() if piece is None or piece.block is None else iter((piece.block,))

    def pieces(self, part: int) -> Iterator[Piece]:
        """Cuts the text here, so that numbers and lines of rows are known."""
        row = 0
        for block in self.blocks():
            yield Piece(part, row, block, nbytes=len(block.data))
            row += self.num_rows_of(block)

    def count_records(self) -> int:
        """Counts the rows, bad ones too, in one pass over the file unless they are known."""
        if self.num_records is None:
            self.num_records = sum(map(self.num_rows_of, self.blocks()))
        return self.num_records

    def num_rows_of(self, block: Block) -> int:
        """Counts the rows of a block, as the reader of the format does."""
        raise NotImplementedError
