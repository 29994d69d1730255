"""Starts the processes of a job on this machine, each with its TF_CONFIG, and takes what they printed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
JOB = Path(__file__).with_name("training_job.py")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


class Job:
    """The processes of one job; leaving the context ends those that still run."""

    def __init__(self, folder: Path, cluster: Mapping[str, int] | None = None) -> None:
        self.folder = folder
        self.tasks: list[tuple[str, int]] = [("alone", 0)]
        self.cluster: dict[str, list[str]] = {}
        if cluster is not None:
            self.tasks = [(job, number) for job, count in cluster.items() for number in range(count)]
            ports = iter(free_ports(len(self.tasks)))
            self.cluster = {job: [f"127.0.0.1:{next(ports)}" for _ in range(n)] for job, n in cluster.items()}
        self.processes: dict[tuple[str, int], subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()

    def printed(self, task: tuple[str, int]) -> str:
        return (self.folder / f"{task[0]}-{task[1]}.txt").read_text(encoding="utf-8", errors="replace")

    def start(self, task: tuple[str, int], *words: str) -> None:
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
        environment.pop("TF_CONFIG", None)
        if self.cluster:
            place = {"type": task[0], "index": task[1]}
            environment["TF_CONFIG"] = json.dumps({"cluster": self.cluster, "task": place})
        with (self.folder / f"{task[0]}-{task[1]}.txt").open("ab") as printed:
            self.processes[task] = subprocess.Popen(
                [sys.executable, *words], cwd=self.folder, env=environment, stdout=printed, stderr=subprocess.STDOUT
            )

    def start_all(self, *words: str) -> None:
        for task in self.tasks:
            self.start(task, *words)

    def finish(self, tasks: Sequence[tuple[str, int]] | None = None, seconds: float = 400.0) -> None:
        deadline = time.monotonic() + seconds
        for task in tasks or self.tasks:
            try:
                status = self.processes[task].wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                status = -1000
            said = "\n".join(f"--- {other}\n{self.printed(other)[-2500:]}" for other in self.processes)
            assert status == 0, f"{task} ended with {status}\n{said}"

    def wait_until(self, ready: Callable[[], bool], seconds: float = 400.0) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            ended = [task for task, process in self.processes.items() if process.poll() is not None]
            assert not ended, f"{ended} ended\n{self.printed(ended[0])[-2500:]}"
            assert time.monotonic() < deadline, "\n".join(self.printed(task)[-2500:] for task in self.processes)
            time.sleep(0.01)
