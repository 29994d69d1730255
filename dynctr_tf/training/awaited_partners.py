"""Says which processes of a cluster another one waits for. It is a program of its own and needs only Python's library.

TensorFlow connects a cluster in one call, which returns when all are there and holds Python's lock until then: no
thread of that process can say anything. `saying_who_is_awaited` starts this file beside it.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time


def absent(partners: list[tuple[str, str]], timeout: float = 2.0) -> list[str]:
    """The partners that do not answer, as `"worker 1 (host2:2222)"`.

    Args:
        partners: Name and `host:port` of each.
        timeout: Seconds that each may take to answer. Default 2.0.
    """
    found = []
    for name, address in partners:
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout):
                pass
        except OSError:
            found.append(f"{name} ({address})")
    return found


def main() -> None:
    """Prints a line every so often until the standard input ends, as it does with the process that waits."""
    given = json.loads(sys.argv[1])
    start = time.monotonic()
    while not select.select([sys.stdin], [], [], given["every"])[0]:
        gone = absent(given["partners"])
        partners = f"{', '.join(gone)}, where nobody answers" if gone else "the others, which all answer"
        if select.select([sys.stdin], [], [], 0.0)[0]:
            break
        print(f"waiting for {partners}; {time.monotonic() - start:.0f} s now", flush=True)


if __name__ == "__main__":
    main()
