"""Models of the catalogue under a tuner of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.metrics import auc
from dynctr_tf.models import Embedding
from dynctr_tf.models.catalogue import Choice, LogUniform
from dynctr_tf.stack import KERAS_3
from dynctr_tf.training import predict_logits
from dynctr_tf.tuning import HyperModel

SPACE = {"model.num_subspaces": Choice((1, 2)), "optimizer.learning_rate": LogUniform(1e-2, 1e-1)}


def test_it_builds_what_was_drawn(small_data: Any) -> None:
    model = HyperModel(
        "dynint_dgp", small_data, space=SPACE, embedding=Embedding(4), num_layers=1, rank=4, batch_size=512
    )
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values["model.num_subspaces"] = 1
    hyperparameters.values["optimizer.learning_rate"] = 0.05
    built = model.build(hyperparameters)
    assert built.get_layer("dgp_1").rank == 4 and [p.name for p in hyperparameters.space] == list(SPACE)
    rates = [float(np.asarray(member.learning_rate)) for member in built.optimizer.members()]
    assert rates[0] == pytest.approx(0.05)
    with pytest.raises(ValueError, match="Did you mean 'deepfm'"):
        HyperModel("deepmf", small_data)
    with pytest.raises(ValueError, match="monitor must be"):
        HyperModel("fm", small_data, monitor="val_loss")


def test_a_part_may_be_given_whole_or_by_option(small_data: Any) -> None:
    def scale(**options: Any) -> float:
        model = HyperModel("fm", small_data, space={}, **options)
        return model.build(keras_tuner.HyperParameters()).get_layer("embedding").initial_scale

    assert scale() == scale(**{"embedding.dim": 4}) == 0.05
    assert scale(embedding=Embedding(4, 0.3)) == scale(**{"embedding.initial_scale": 0.3}) == 0.3


@pytest.mark.skipif(
    not KERAS_3 and not tf.__version__.startswith("2.15"), reason="keras-tuner knows Keras 3 or Keras 2.15, no tf_keras"
)
def test_a_tuner_of_ones_own_searches_by_exact_auc(small_data: Any, tmp_path: Path) -> None:
    space = {"model.embedding.dim": Choice((2, 4)), "optimizer.learning_rate": LogUniform(1e-3, 1e-2)}
    model = HyperModel("fm", small_data, space=space, batch_size=500, epochs=2, monitor="val_auc")
    objective = keras_tuner.Objective("val_auc", "max")
    tuner = keras_tuner.RandomSearch(model, objective, max_trials=2, seed=1, directory=tmp_path, project_name="own")
    tuner.search(verbose=0)
    best = tuner.oracle.get_best_trials(2)
    assert [trial.status for trial in best] == ["COMPLETED"] * 2 and best[0].score >= best[1].score
    kept = tuner.get_best_models()[0]
    scored = auc(small_data.column("validation", "label"), predict_logits(kept, small_data, "validation"))
    assert best[0].score == pytest.approx(scored, abs=1e-6)
