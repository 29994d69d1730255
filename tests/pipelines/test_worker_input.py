"""The measurement of each worker's input, from the disk and from a store that answers late."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from dynctr_tf.encoding.block_folder import BlockFolder
from pipelines.benchmarks import worker_input
from pipelines.benchmarks.slow_store import in_slow_store


def test_a_request_takes_its_latency_and_the_time_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "some.block").write_bytes(bytes(range(100)))
    folder = BlockFolder(in_slow_store(tmp_path, latency_seconds=0.05, bytes_per_second=1000.0))
    assert folder.sizes() == {"some.block": 100}
    begin = time.perf_counter()
    assert folder.read("some.block", 10, 50) == bytes(range(10, 60))
    assert 0.1 <= time.perf_counter() - begin < 1.0


def test_a_worker_alone_prints_its_rates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data.directory", str(tmp_path), "--data.options.num_train", "3000", "--model.name", "lr"]
    arguments += ["--training.batch_size", "64", "--steps", "3"]
    rates = r"one process: reads [\d,]+ rows/s of its own{}, trains on [\d,]+ rows/s, waits for rows \d+\.\d% "
    worker_input.main(arguments)
    assert re.search(rates.format(""), capsys.readouterr().out)
    worker_input.main([*arguments, "--store-latency", "1", "--store-rate", "100", "--data.readers", "2"])
    assert re.search(rates.format(" by 2 readers"), capsys.readouterr().out)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--store-latency", "5"], "Give --store-latency and --store-rate together"),
        (["--store-latency", "-1", "--store-rate", "2"], "--store-latency must be at least 0 and --store-rate above 0"),
        (["--store-latency", "1", "--store-rate", "0"], "got 1 and 0"),
        (["--steps", "0"], "--steps must be at least 1"),
    ],
)
def test_bad_options_are_refused(options: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        worker_input.main(options)
    assert problem in " ".join(capsys.readouterr().err.split())
