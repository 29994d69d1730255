"""Writing an `ExportArchive`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dynctr_tf.stack.variables import raw_variable
from dynctr_tf.stack.versions import KERAS_3


def track_for_export(archive: Any, layer: Any, without: Sequence[tf.Variable] = ()) -> None:
    """Makes an `ExportArchive` save everything that a layer or model holds, look-up tables included.

    Keras 3 finds the tables that it tracks; Keras 2 saves those of its own look-up layers alone, so the others
    become attributes of the archive, which are saved.

    Keras 3 would save a variable that an endpoint uses twice, as its own object and as TensorFlow's, and a server would
    load both: a table would take twice its memory. So the archive lists TensorFlow's variables alone.

    Args:
        archive: The archive.
        layer: The layer or model.
        without: Variables of it that are not saved. Default none.
    """
    archive.track(layer)
    left_out = {id(variable) for variable in without}
    owner = saved_object(archive)
    for name in ("variables", "trainable_variables", "non_trainable_variables"):
        found = [raw_variable(variable) for variable in getattr(owner, name)]
        setattr(owner, name, [variable for variable in found if id(variable) not in left_out])
    if not KERAS_3:
        resources = tf.train.TrackableView(layer).descendants()
        tables = [found for found in resources if isinstance(found, tf.lookup.experimental.MutableHashTable)]
        archive.lookup_tables = [*getattr(archive, "lookup_tables", []), *tables]


def attach_to_export(archive: Any, name: str, resource: Any) -> None:
    """Makes an `ExportArchive` save a `tf.Module`, its tables included, under a name.

    Keras 3 saves what its own trackable holds, Keras 2 what the archive itself holds.
    """
    setattr(saved_object(archive), name, resource)


def saved_object(archive: Any) -> Any:
    """Returns the object that an `ExportArchive` saves."""
    return archive._tf_trackable if KERAS_3 else archive


def write_quietly(archive: Any, path: Any) -> None:
    """Writes a `keras.export.ExportArchive`; only Keras 3 can leave its list of endpoints unprinted."""
    if KERAS_3:
        archive.write_out(str(path), verbose=False)
    else:
        archive.write_out(str(path))
