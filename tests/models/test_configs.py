"""Every settings file that is given along fits every model: its options build it, and each weight has a gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_models import FEATURES, batch_of, labels_of
from tensorflow import keras

from dynctr_tf.jobs.checks import check_model
from dynctr_tf.jobs.settings import JobSettings, job_settings
from dynctr_tf.jobs.settings_file import read_file
from dynctr_tf.jobs.variants import Variant, settings_of
from dynctr_tf.models.catalogue import CATALOGUE, build_model
from dynctr_tf.stack import KERAS_3, variable_path

CONFIGS = Path(__file__).parents[2] / "pipelines" / "configs"
# A pair `<data set>/<model>.toml` is for its model.
SETTINGS = {path.stem: job_settings(read_file(path)) for path in sorted(CONFIGS.glob("*.toml"))}


def check_loss_and_gradients_are_finite(settings: JobSettings) -> None:
    """Builds the model of the settings, and looks at the loss and at the gradient of every weight that is trained."""
    check_model(settings)
    keras.backend.clear_session()
    model = build_model(settings.model.name, FEATURES, **settings.model.options)
    batch = batch_of(8)
    with tf.GradientTape() as tape:
        logits = model(batch, training=True)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)(labels_of(batch)[:, np.newaxis], logits)
        loss += tf.add_n([0.0 * loss, *model.losses])
    assert np.isfinite(float(loss))
    for weight, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True):
        assert gradient is not None, f"{variable_path(weight)} has no gradient"
        numbers = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        assert np.isfinite(numbers.numpy()).all(), f"the gradient of {variable_path(weight)} is not finite"


# Of the files with the same options of the model one stands for all; those with none have the defaults of each model.
DISTINCT = {
    str(options): name for name, settings in SETTINGS.items() if (options := sorted(settings.model.options.items()))
}


@pytest.mark.slow
@pytest.mark.skipif(not KERAS_3, reason="options are checked and parts are built in the same way on every stack")
@pytest.mark.parametrize("model", CATALOGUE)
@pytest.mark.parametrize("config", sorted(DISTINCT.values()))
def test_every_model_takes_a_step_with_every_settings_file(config: str, model: str) -> None:
    check_loss_and_gradients_are_finite(settings_of(SETTINGS[config], Variant(model, model, {})))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/*.toml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_pair_takes_a_step(path: Path) -> None:
    settings = job_settings(read_file(path))
    assert (settings.data.name, settings.model.name) == (path.parent.name, path.stem)
    check_loss_and_gradients_are_finite(settings)
