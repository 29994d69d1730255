"""Which models of the catalogue have a dynamic part, as `generated_weights` finds it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from small_models import FEATURES, SMALL, batch_of

from dynctr_tf.evaluation import generated_weights
from dynctr_tf.models.catalogue import CATALOGUE, build_model
from dynctr_tf.training import set_seed

# Beside the static family; all models of several scenarios have towers of each.
STATIC = ("din", "dien", "transformer", "kfatt")
ROWS = 9


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_dynamic_part_of_a_model_is_found(name: str) -> None:
    set_seed(0)
    model = build_model(name, FEATURES, **SMALL[name])
    batch = {key: tf.constant(entry) for key, entry in batch_of(ROWS).items() if key in model.input}
    found = generated_weights(model, [batch])
    module = CATALOGUE[name].function.__module__
    static = module.startswith("dynctr_tf.models.static") or name in STATIC
    assert bool(found) != static, [(own.layer, own.name) for own in found]
    assert all(own.values.shape[0] == ROWS and np.isfinite(own.values[~np.isnan(own.values)]).all() for own in found)
