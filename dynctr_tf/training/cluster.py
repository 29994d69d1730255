"""The processes that train together, as `TF_CONFIG` names them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from dynctr_tf.nearest import unknown_name_message

_CLUSTER_EXAMPLE = {
    "multi_worker": '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}',
    "parameter_server": '{"cluster": {"chief": ["host1:2222"], "worker": ["host2:2222", "host3:2222"], '
    '"ps": ["host4:2222"]}, "task": {"type": "chief", "index": 0}}',
}

JOBS = {"multi_worker": ("chief", "worker"), "parameter_server": ("chief", "worker", "ps")}
"""The jobs of a cluster under each strategy."""

_NEEDED = {"multi_worker": ("worker",), "parameter_server": ("chief", "worker", "ps")}

# A name, an IPv4 address or an IPv6 one in brackets, and a port; letters of other scripts are not allowed in either.
_ADDRESS = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


def _shown(value: Any) -> str:
    """A value for a message, in ASCII and cut where it is long."""
    text = ascii(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _object_of_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one that gives a key twice is refused, because only one of the two would count."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {_shown(key)} is given twice")
        found[key] = value
    return found


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that train together, and which of them this one is.

    Attributes:
        jobs: For each job (`"chief"`, `"worker"`, `"ps"`) the `host:port` of its processes.
        task_type: The job of this process.
        task_index: The place of this process in its job.
    """

    jobs: Mapping[str, tuple[str, ...]]
    task_type: str
    task_index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, log and reports."""
        if "chief" in self.jobs:
            return self.task_type == "chief"
        return self.task_type == "worker" and self.task_index == 0


def read_cluster(strategy: str, environment: Mapping[str, str] | None = None) -> Cluster:
    """Reads the cluster from the environment variable TF_CONFIG, which differs for each process of a job.

    Args:
        strategy: `"multi_worker"` or `"parameter_server"`.
        environment: The environment. Default `None`: that of the process.

    Raises:
        ValueError: There is no TF_CONFIG, it is not JSON, or it lacks a job, a task or an address; the message has a
            complete example.

    Example:

    >>> words = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
    >>> read_cluster("multi_worker", {"TF_CONFIG": words}).is_chief
    False
    """
    text = (os.environ if environment is None else environment).get("TF_CONFIG")

    def refuse(what: str) -> ValueError:
        return ValueError(
            f"TF_CONFIG for the strategy {strategy!r} {what}. Every process needs the same cluster and its own "
            f"task, such as TF_CONFIG='{_CLUSTER_EXAMPLE[strategy]}'."
        )

    if not text:
        raise refuse("is not set")
    try:
        config = json.loads(text, object_pairs_hook=_object_of_distinct_keys)
    except RecursionError as error:
        raise refuse("is not JSON that can be read: too many lists or objects within one another") from error
    except ValueError as error:  # not JSON, a key given twice, a number of thousands of digits
        raise refuse(f"is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise refuse(f"must be a JSON object, got {_shown(config)}")
    for part in ("cluster", "task"):
        if part not in config:
            raise refuse(f"lacks {part!r}")
        if not isinstance(config[part], dict) or not config[part]:
            raise refuse(f"must give {part!r} as a JSON object that is not empty, got {_shown(config[part])}")
    # TensorFlow reads it again, by itself.
    if config.get("rpc_layer", "grpc") != "grpc":
        raise refuse(f'must leave rpc_layer out, or give it as "grpc", got {_shown(config["rpc_layer"])}')
    jobs: dict[str, tuple[str, ...]] = {}
    for job, addresses in config["cluster"].items():
        if job not in JOBS[strategy]:
            raise refuse(
                "has a job that the strategy does not use: "
                + unknown_name_message("job", job.encode("ascii", "backslashreplace").decode(), JOBS[strategy])
            )
        if not isinstance(addresses, list) or not addresses:
            raise refuse(f"must give cluster.{job} as a list of host:port, got {_shown(addresses)}")
        for address in addresses:
            match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
            if match is None or not 0 < int(match[1]) < 65536:
                raise refuse(f"must give each process of cluster.{job} as host:port, got {_shown(address)}")
        jobs[job] = tuple(addresses)
    lacking = [job for job in _NEEDED[strategy] if job not in jobs]
    if lacking:
        raise refuse(f"lacks the job{'s' if len(lacking) > 1 else ''} {', '.join(map(repr, lacking))} in its cluster")
    if len(jobs.get("chief", ())) > 1:
        raise refuse(f"must have one chief, got {list(jobs['chief'])}")
    everywhere = [address for addresses in jobs.values() for address in addresses]
    repeated = sorted({address for address in everywhere if everywhere.count(address) > 1})
    if repeated:
        raise refuse(f"gives the address {repeated[0]!r} to more than one process")
    task = config["task"]
    for part in ("type", "index"):
        if part not in task:
            raise refuse(f"lacks {part!r} in its task")
    kind, index = task["type"], task["index"]
    if not isinstance(kind, str) or kind not in jobs:
        raise refuse(f"has a task of type {_shown(kind)}, which its cluster lacks; its jobs are {sorted(jobs)}")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(jobs[kind]):
        raise refuse(
            f"has the task index {_shown(index)}, but cluster.{kind} has the processes 0 to {len(jobs[kind]) - 1}"
        )
    return Cluster(jobs, kind, index)
