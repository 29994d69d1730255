"""Opens a file of text as UTF-8; its compression and its encoding are recognised by the content."""

from __future__ import annotations

import codecs
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa

from dynctr_tf.datasets.row_files import RowFile

_COMPRESSIONS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PK\x03\x04", "zip"),
)
_NO_TEXT: tuple[tuple[bytes, str], ...] = (
    (b"ARROW1", "an Arrow (Feather) file"),
    (b"ORC", "an ORC file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"%PDF", "a PDF file"),
    (b"\x80\x04\x95", "a pickle"),
    (b"\x80\x05\x95", "a pickle"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
)
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError)


def checked_encoding(encoding: str) -> str:
    """Returns the name of an encoding of text as Python has it.

    Raises:
        ValueError: There is none of this name.
    """
    try:
        found = codecs.lookup(encoding)
        "".encode(encoding)  # refuses codecs that are not encodings of text
        return found.name
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"There is no encoding of text called {encoding!r}. Usual ones: utf-8, latin-1, cp1252, utf-16, gb18030, "
            "shift_jis."
        ) from error


class TextStream:
    """The bytes of a file as UTF-8, decompressed.

    Args:
        path: The file.
        encoding: The encoding of its text. Default `None`: UTF-8, or UTF-16 or UTF-32 where it starts with their
            mark.

    Attributes:
        encoding: The encoding that it is read in.
        compression: What it is compressed with; `None` where it is not.

    Raises:
        ValueError: An unknown encoding; a zip archive that does not hold one file; a file that holds no text; on
            reading, text that is not in the encoding.
        OSError: A file that is truncated or damaged.
    """

    def __init__(self, path: Path | RowFile, encoding: str | None = None) -> None:
        self.path = path if isinstance(path, RowFile) else RowFile(str(path))
        self._closing: list[Callable[[], Any]] = []
        with self.path.open() as file:
            start = bytes(file.read(16))
        self.compression = next((name for mark, name in _COMPRESSIONS if start.startswith(mark)), None)
        self._stream = self._decompressed()
        self._kept = b""
        if self.compression is not None or encoding is None:
            self._kept = self._read(16)
        self._refuse_what_is_no_text(start if self.compression is None else self._kept)
        if encoding is None:
            encoding = next((name for mark, name in _MARKS if self._kept.startswith(mark)), "utf-8")
        self.encoding = checked_encoding(encoding)
        self._decoder = None
        if self.encoding not in ("utf-8", "utf-8-sig", "ascii"):
            self._decoder = codecs.getincrementaldecoder(self.encoding)()

    def _decompressed(self) -> Any:
        raw = self.path.open()
        self._closing.append(raw.close)
        if self.compression == "xz":
            stream: Any = lzma.open(raw, "rb")  # noqa: SIM115 (closed in `__exit__`)
        elif self.compression == "zip":
            stream = self._only_member(raw)
        else:
            stream = raw if self.compression is None else pa.CompressedInputStream(raw, self.compression)
        self._closing.insert(0, stream.close)
        return stream

    def _only_member(self, raw: Any) -> IO[bytes]:
        try:
            archive = zipfile.ZipFile(raw)
        except zipfile.BadZipFile as error:
            raise ValueError(
                f"{self.path}: starts as a zip archive but cannot be read as one: {error}. Fetch it again."
            ) from error
        self._closing.append(archive.close)
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        if "[Content_Types].xml" in names:
            raise ValueError(f"{self.path}: is an Excel file (or another office document). Save the table as CSV.")
        names = [name for name in names if not name.startswith("__MACOSX/")]
        if len(names) != 1:
            raise ValueError(
                f"{self.path}: is a zip archive of {len(names)} files, {', '.join(map(repr, names[:5]))}; one is "
                "expected. Unpack it and give the right one."
            )
        try:
            return archive.open(names[0])
        except (RuntimeError, NotImplementedError) as error:
            raise ValueError(f"{self.path}: cannot be unpacked: {error}. Unpack it yourself.") from error

    def _refuse_what_is_no_text(self, start: bytes) -> None:
        kind = next((kind for mark, kind in _NO_TEXT if start.startswith(mark)), None)
        if self.compression is not None:
            inner = next((name for mark, name in _COMPRESSIONS if start.startswith(mark)), None)
            kind = "a Parquet file" if start.startswith(b"PAR1") else inner or kind
            if kind is not None:
                self.close()
                raise ValueError(f"{self.path}: holds {kind} inside of {self.compression}. Unpack it and give that.")
        elif kind is not None:
            self.close()
            raise ValueError(f"{self.path}: is {kind}. Give a CSV file, JSON lines or a Parquet file.")

    def _read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size) if size >= 0 else self._stream.read())
        except _DAMAGE as error:
            raise OSError(str(error) or type(error).__name__) from error

    def read(self, size: int = -1) -> bytes:
        """Returns about this many bytes of UTF-8, all if the size is below 0; none at the end.

        Raises:
            OSError: The file is truncated or damaged.
            ValueError: The text is not in the encoding.
        """
        while True:
            data = self._kept + self._read(size)
            self._kept = b""
            if self._decoder is None:
                return data
            try:
                text = self._decoder.decode(data, final=not data or size < 0).encode()
            except UnicodeError as error:
                raise ValueError(f"{self.path}: is not text in {self.encoding}: {error}.") from error
            if text or not data:
                return text

    def close(self) -> None:
        """Closes the file."""
        for close in self._closing:
            close()

    def __enter__(self) -> TextStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
