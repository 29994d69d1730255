"""Models are found: a file of a room with a function of its name and `ENTRIES` is a model, and nothing lists it."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest
from small_models import FEATURES

from dynctr_tf import models
from dynctr_tf.models.catalogue import CATALOGUE
from dynctr_tf.models.discovery import ROOMS, by_name, functions_of

TOY = '''"""A toy."""

from tensorflow import keras

from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs


def toy(features, *, embedding=Embedding(), deep=Deep((8,)), name="toy") -> keras.Model:
    """A toy."""
    inputs = encoded_inputs(features)
    return keras.Model(inputs, deep.logit(embedding.field_map(inputs, features)), name=name)


ENTRIES = (ModelEntry("toy", toy, title="Toy", paper="none", equation="none", optimizer="adam"),)
'''


def test_a_file_is_all_that_a_model_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "room_of_toys"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "toy.py").write_text(TOY)
    (room / "no_model.py").write_text("toys = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = functions_of("room_of_toys", [str(room)])
    assert list(found) == ["toy"]
    (entry,) = importlib.import_module("room_of_toys.toy").ENTRIES
    model = entry.build(FEATURES, **{"embedding.dim": 2, "deep.units": (3,)})
    assert model.name == "toy" and model.output_shape == (None, 1)


def test_two_models_of_one_name_are_refused() -> None:
    copied = dataclasses.replace(CATALOGUE["dnn"], function=models.deepfm)
    with pytest.raises(ValueError, match=r"name 'dnn', of .*static\.dnn and .*static\.deepfm; give one"):
        by_name([*CATALOGUE.values(), copied])


@pytest.mark.parametrize("room", ROOMS)
def test_each_model_is_public_in_its_room_and_of_all(room: str) -> None:
    package = importlib.import_module(f"dynctr_tf.models.{room}")
    found = functions_of(package.__name__, package.__path__)
    assert found
    for name, function in found.items():
        assert getattr(models, name) is getattr(package, name) is function
        assert name in models.__all__ and name in package.__all__
