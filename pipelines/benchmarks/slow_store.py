"""A store that stands in for a bucket: files of this machine, each request answered late and at a limited pace."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import fsspec

SCHEME = "slow-store"


class SlowStore(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Files of this machine under `slow-store:///folder`, read as from a bucket.

    A request waits for its latency, then its bytes come at the rate that a store gives to one request; other requests
    come at the same time. Nothing limits them together, as the network card of a machine would.
    """

    protocol = SCHEME
    cachable = False
    latency_seconds = 0.0
    bytes_per_second = float("inf")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        place = Path(self._strip_protocol(path))
        state = place.stat()
        kind = "directory" if place.is_dir() else "file"
        return {"name": str(place), "size": state.st_size, "type": kind, "mtime": state.st_mtime}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        entries = [self.info(str(place)) for place in sorted(Path(self._strip_protocol(path)).iterdir())]
        return entries if detail else [entry["name"] for entry in entries]

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        begin = time.perf_counter()
        place = Path(self._strip_protocol(path))
        first, last = start or 0, place.stat().st_size if end is None else end
        with place.open("rb") as file:
            file.seek(first)
            content = file.read(last - first)
        due = begin + self.latency_seconds + len(content) / self.bytes_per_second
        time.sleep(max(0.0, due - time.perf_counter()))
        return content


def in_slow_store(folder: Path, latency_seconds: float, bytes_per_second: float) -> str:
    """Makes the store known to fsspec, and returns the URI of a folder in it.

    Args:
        folder: A folder of this machine.
        latency_seconds: What every request waits.
        bytes_per_second: The rate at which the bytes of one request come.
    """
    SlowStore.latency_seconds, SlowStore.bytes_per_second = latency_seconds, bytes_per_second
    fsspec.register_implementation(SCHEME, SlowStore, clobber=True)
    return f"{SCHEME}://{folder.resolve()}"
