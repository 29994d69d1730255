"""Errors that end a search, where others end one trial: a full disk, a damaged file, a folder in use."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

import keras_tuner

from dynctr_tf.durable_files import BusyError, DamagedFileError


class EndOfSearch(keras_tuner.errors.FatalError):  # type: ignore[misc]
    """An error that keras-tuner does not take for the failure of a trial; its cause ended the search."""


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def is_no_fault_of_the_trial(error: BaseException) -> bool:
    """Whether every trial would end in the same way: a full or broken disk, a damaged file, a folder in use."""
    if isinstance(error, (DamagedFileError, BusyError)):
        return True
    return isinstance(error, OSError) and error.errno in _OF_THE_DISK


@contextlib.contextmanager
def ending_the_search() -> Iterator[None]:
    """Raises an error that every trial would meet as `EndOfSearch`, so that keras-tuner does not go on."""
    try:
        yield
    except (OSError, DamagedFileError, BusyError) as error:
        raise EndOfSearch(str(error)) from error


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """Raises the error that ended the search in place of `EndOfSearch`."""
    try:
        yield
    except EndOfSearch as ended:
        raise (ended.__cause__ or ended) from None
