"""Processes that end with the one that started them, however that ends."""

from __future__ import annotations

import os
import threading
import time

_PARENT = "DYNCTR_TF_PARENT"
_watching = False


def child_environment() -> dict[str, str]:
    """What the environment of a child process needs, so that `end_with_parent` there knows this process."""
    return {_PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """Ends this process when the one that started it with `child_environment` is gone; without such a one, nothing.

    A killed job then leaves nothing running that writes into its folders. The system's own signal for it
    (`PR_SET_PDEATHSIG`) comes when the thread ends that started the child, and on Linux alone; a thread that looks five
    times a second needs neither.
    """
    global _watching  # noqa: PLW0603 - one thread for the whole process
    given, _, child = os.environ.get(_PARENT, "").partition(":")
    # A process that a child starts in another way inherits the entry and is nobody's child by it; one that replaces the
    # child (`os.execv`) has its number.
    if not given or child not in ("", str(os.getpid())) or _watching:
        return
    _watching = True
    os.environ[_PARENT] = f"{given}:{os.getpid()}"

    def watch() -> None:
        # As the parent told it: it may have been gone before this process had come so far as to ask the system.
        while os.getppid() == int(given):
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
