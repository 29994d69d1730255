"""CPU seconds and peak memory of preparing rows, by rows, distinct values and processes.

`python -m pipelines.benchmarks.preparation --rows 500000 20000000 --distinct 500000 20000000 --processes 2` writes a
Parquet file of each size, prepares it in a process of its own and measures that with all its children.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from dynctr_tf.durable_files import make_folder, read_json, remove_folder
from pipelines.benchmarks.preparation_picture import Preparation, draw_memory

_SOURCE = """
import sys
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.encoding.preparation import prepare_encoded_dataset
from dynctr_tf.schema import Feature, Schema
features = (Feature("user", "categorical"), Feature("page", "categorical"), Feature("age", "numeric"))
schema = Schema(features, label="click")
if __name__ == "__main__":
    path, directory, processes = sys.argv[1:]
    prepare_encoded_dataset(TabularFile(path, schema), directory, processes=int(processes) or None, progress=False)
"""
_CHUNK = 1 << 20
_INTERVAL = 0.1


def write_rows(path: Path, rows: int, distinct: int, seed: int = 0) -> None:
    """Writes rows of which one column has so many distinct values, as far as there are rows, in random order."""
    random = np.random.default_rng(seed)
    schema = pa.schema([("user", pa.string()), ("page", pa.string()), ("age", pa.int64()), ("click", pa.int64())])
    csv = path.suffix == ".csv"
    writer = pa.csv.CSVWriter(path, schema) if csv else pa.parquet.ParquetWriter(path, schema)
    with writer:
        for begin in range(0, rows, _CHUNK):
            place = np.arange(begin, min(begin + _CHUNK, rows), dtype=np.uint64)
            # A permutation of the places, as far as they are below `distinct`.
            user = place * np.uint64(2654435761) % np.uint64(distinct)
            columns = [
                pa.array(user).cast(pa.string()),
                pa.array(random.integers(0, 5000, len(place))).cast(pa.string()),
                pa.array(random.integers(0, 90, len(place))),
                pa.array(random.integers(0, 2, len(place))),
            ]
            columns[0] = pa.compute.binary_join_element_wise("u", columns[0], "")
            writer.write_table(pa.table(columns, schema=schema))


def text_bytes(distinct: int) -> int:
    """The bytes of the distinct values that `write_rows` writes, as texts without anything around them."""
    # A letter, then the digits of a number below `distinct`: so many numbers have a digit at each place.
    digits = sum(distinct - 10**place for place in range(1, len(str(distinct - 1))))
    return 2 * distinct + digits


def _memory(pid: int) -> np.ndarray:
    """The memory of a process and its children in bytes, what they share counted once: their own, and mapped files."""
    total = np.zeros(2, np.int64)
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            name, _, size = line.partition(":")
            if name in ("Pss_Anon", "Pss_File"):
                total[int(name == "Pss_File")] += int(size.split()[0]) << 10
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                total += _memory(int(child))
    except (OSError, ProcessLookupError):
        return total  # it has ended meanwhile
    return total


def measure(path: Path, directory: Path, processes: int) -> tuple[float, float, int, int]:
    """Prepares a file; returns wall and CPU seconds, and the peaks in bytes of own memory and with mapped files."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    own = both = 0
    with subprocess.Popen([sys.executable, "-c", _SOURCE, str(path), str(directory), str(processes)]) as child:
        while child.poll() is None:
            memory = _memory(child.pid)
            own, both = max(own, int(memory[0])), max(both, int(memory.sum()))
            time.sleep(_INTERVAL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        raise RuntimeError(f"The preparation ended with status {child.returncode}.")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, own, both


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.benchmarks.preparation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000], help="how many rows (default %(default)s)")
    parser.add_argument(
        "--distinct",
        type=int,
        nargs="+",
        default=[500_000],
        help="distinct values of one column, a number for each of --rows (default %(default)s)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        nargs="+",
        default=[0],
        help="how many processes, one after another; 0: what the library chooses (default %(default)s)",
    )
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet", help="of the file that is written")
    parser.add_argument(
        "--picture", type=Path, help="a PNG file for the peaks of memory by rows; of several --processes the last one"
    )
    options = parser.parse_args(arguments)
    if len(options.rows) != len(options.distinct):
        parser.error(f"--rows has {len(options.rows)} numbers, --distinct has {len(options.distinct)}; give as many.")
    found: list[Preparation] = []
    for rows, distinct in zip(options.rows, options.distinct, strict=True):
        with tempfile.TemporaryDirectory(prefix="preparation-") as place:
            path = Path(place) / f"rows.{options.format}"
            write_rows(path, rows, distinct)
            for processes in options.processes:
                directory = Path(place) / f"encoded-{processes}"
                wall, cpu, own, both = measure(path, directory, processes)
                fingerprint = read_json(directory / "index.json")["fingerprint"]
                remove_folder(directory)
                print(
                    f"{rows:,} rows, {distinct:,} distinct values, {processes or 'chosen'} processes: "
                    f"{wall:.1f} s, {cpu:.1f} CPU seconds ({cpu / wall:.2f} cores), peak {own / 2**20:,.0f} MiB, "
                    f"with mapped files {both / 2**20:,.0f} MiB, rows {fingerprint}",
                    flush=True,
                )
            found.append(Preparation(rows, distinct, own, both, text_bytes(min(rows, distinct))))
    if options.picture is not None:
        make_folder(options.picture.parent)
        draw_memory(found, options.picture)
        print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
