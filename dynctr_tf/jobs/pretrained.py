"""Embeddings that were trained elsewhere, whose files the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tensorflow import keras

from dynctr_tf.datasets.value_vectors import read_value_vectors, vector_size
from dynctr_tf.encoding import EncodedFeatures, Encoder, IdMap
from dynctr_tf.jobs.settings import JobSettings
from dynctr_tf.models import Embedding
from dynctr_tf.models.catalogue import model_entry
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.training import load_field_vectors

_SIZES = "embedding.sizes"


def sizes_of_vectors(settings: JobSettings, features: EncodedFeatures) -> dict[str, Any]:
    """Returns the option of the model that gives fields with vectors the size of these; none where no field has any.

    Asked again with what it has given, it gives the same.

    Args:
        settings: The settings of the job.
        features: The description that the encoder gives.

    Raises:
        ValueError: An unknown field, a model without embeddings by field, a file that cannot be read, a field that is
            given another size than its vectors have, or a strategy.
    """
    vectors = settings.pretrained.files()
    if not vectors:
        return {}
    entry = model_entry(settings.model.name)
    if _SIZES not in entry.defaults:
        raise ValueError(f"The model {entry.name!r} has no {_SIZES}, so that no field can have vectors of its own.")
    if settings.training.strategy is not None:
        raise ValueError(
            "Vectors are put into a model that lives on one device; leave training.strategy out, or pretrained.vectors."
        )
    given = settings.model.options.get(_SIZES, ())
    given = [given] if isinstance(given, str) else list(given)
    sizes = Embedding(sizes=tuple(given)).size_of()
    known = [field.name for field in features.entries]
    for field, path in vectors.items():
        if field not in known:
            raise ValueError(unknown_name_message("field in pretrained.vectors", field, known))
        size = vector_size(path)
        if sizes.get(field, size) != size:
            raise ValueError(
                f"The vectors of {field!r} in {path} have {size} numbers, and model.{_SIZES} gives it {sizes[field]}; "
                "leave its size out."
            )
        if field not in sizes:
            given.append(f"{field}={size}")
    return {_SIZES: given}


def load_vectors(
    settings: JobSettings,
    encoder: Encoder,
    model: keras.Model,
    *,
    new: IdMap | None = None,
    optimizer: Any = None,
) -> Iterator[str]:
    """Puts the vectors that the settings name into a new model, and returns a line about each field.

    Args:
        settings: The settings of the job.
        encoder: The encoder of the model's ids.
        model: The model.
        new: As in `load_field_vectors`. Default `None`.
        optimizer: As in `load_field_vectors`. Default `None`.

    Raises:
        ValueError: As `load_field_vectors`, with the file's name.
    """
    for field, path in settings.pretrained.files().items():
        vectors = read_value_vectors(path)
        try:
            loaded = load_field_vectors(model, encoder, field, vectors, new=new, optimizer=optimizer)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if new is not None:
            if loaded.values:
                yield f"{field}: {loaded.found:,} of {loaded.values:,} new values have a vector of {path}"
            continue
        unused = f", which has {loaded.unused:,} others" if loaded.unused else ""
        yield f"{field}: {loaded.found:,} of {loaded.values:,} values have a vector of {path}{unused}"
