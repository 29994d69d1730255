"""Says who listens and which process is awaited while a cluster comes together.

**Who listens.** A process of a `multi_worker` or `parameter_server` job starts TensorFlow's server. That server listens
on its port of *every* network interface, whatever address `TF_CONFIG` gives it. It does not authenticate clients,
encrypts nothing, and runs every request with the rights of its account: whoever reaches the port can read and write
every file that the account can. So protect a cluster from outside: with a private network for the cluster's machines
only, or a firewall that closes the ports of `TF_CONFIG` to all others; with an account of its own without other rights;
without a port forwarded from outside; in containers, with a network policy. Each process says in a line that it
listens. No other process that the library starts listens beyond this machine: the workers of a search on one machine
use 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from dynctr_tf.training import awaited_partners
from dynctr_tf.training.cluster import Cluster

SAY_EVERY = 30.0
"""Seconds between two lines that say who is awaited."""

_STOPS = (signal.SIGINT, signal.SIGHUP)


def _own_address(cluster: Cluster) -> str:
    """The `host:port` that the cluster gives this process."""
    return cluster.jobs[cluster.task_type][cluster.task_index]


def say_who_listens(cluster: Cluster) -> None:
    """Prints that TensorFlow's server listens on every interface, and what that means."""
    port = _own_address(cluster).rpartition(":")[2]
    print(
        f"{cluster.task_type} {cluster.task_index} listens on port {port} of every network interface, and TensorFlow "
        "serves whoever connects, with this account's rights: let a firewall keep the port to the cluster's machines",
        flush=True,
    )


def _partners(cluster: Cluster) -> list[tuple[str, str]]:
    own = (cluster.task_type, cluster.task_index)
    return [
        (f"{job} {index}", address)
        for job, addresses in cluster.jobs.items()
        for index, address in enumerate(addresses)
        if (job, index) != own
    ]


def absent_partners(cluster: Cluster) -> list[str]:
    """The other processes of a cluster that do not answer, as `"worker 1 (host2:2222)"`."""
    return awaited_partners.absent(_partners(cluster))


@contextlib.contextmanager
def saying_who_is_awaited(cluster: Cluster, every: float | None = None) -> Iterator[None]:
    """Within it, a line says from time to time which other processes of the cluster this one waits for.

    TensorFlow holds Python's lock while it connects. So another process prints the line, and Ctrl-C ends this process
    at once, because no handler of Python would run. TensorFlow takes SIGTERM for a notice then, and continues to wait.

    Args:
        cluster: The cluster.
        every: Seconds between two lines. Default `None`: 30.
    """
    given = json.dumps({"partners": _partners(cluster), "every": SAY_EVERY if every is None else every})
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, signal.SIG_DFL) for number in _STOPS}
    # It ends when its input ends; this process holds the input open, and nobody writes to it.
    watcher = subprocess.Popen([sys.executable, "-I", awaited_partners.__file__, given], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        watcher.communicate()
        for number, handler in handlers.items():
            # `None` stands for one that was not set from Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
