"""Models of each kind on keys without a vocabulary: trained, frozen, or refused with the reason."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from small_models import FEATURES, SMALL, batch_of, labels_of, logits
from tensorflow import keras

from dynctr_tf.encoding.value_keys import FIRST_KEY, NUM_KEYS
from dynctr_tf.export import freeze_keys
from dynctr_tf.models import build_model
from dynctr_tf.optimizers.registry import make_optimizer
from dynctr_tf.training.key_rows import key_layers

# The table is one layer, which all models call in one of these ways.
OF_EACH_KIND = (
    "lr",
    "deepfm",
    "afn_plus",
    "fibinet",
    "autoint_plus",
    "dynint_dgp",
    "dpn",
    "apg_dnn",
    "dien",
    "can",
    "din_heter",
    "mmoe",
    "star",
    "optmsm",
)
KEYED = ("user", "item", "last items/30d")


def keyed(entry: Any) -> Any:
    if entry.name not in KEYED:
        return entry
    return dataclasses.replace(entry, first_id=FIRST_KEY, num_ids=NUM_KEYS, is_key=True)


FEATURES_OF_KEYS = dataclasses.replace(
    FEATURES,
    fields=tuple(map(keyed, FEATURES.fields)),
    sequences=tuple(map(keyed, FEATURES.sequences)),
)


def batch_of_keys(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch in which the ids of the features that have keys are spread over all keys."""
    batch = dict(batch_of(rows, seed))
    for name, columns in (("fields", [0, 2]), ("last items/30d", slice(None))):
        ids = batch[name].copy()
        own = ids[:, columns].astype(np.int64)
        ids[:, columns] = np.where(own == 0, 0, FIRST_KEY + own * 7_654_321 % NUM_KEYS)
        batch[name] = ids
    return batch


def compiled(model: keras.Model) -> keras.Model:
    optimizer = make_optimizer("row_wise_adagrad", {}, batch_size=32)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    return model


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_a_model_trains_on_keys_and_answers_the_same_when_they_are_frozen(name: str) -> None:
    keras.utils.set_random_seed(1)
    model = compiled(build_model(name, FEATURES_OF_KEYS, **SMALL[name], **{"embedding.num_keys": 120}))
    batch = batch_of_keys(64)
    model.fit({key: batch[key] for key in model.input}, labels_of(batch), batch_size=32, verbose=0, shuffle=False)
    seen = {int(number) for key in ("fields", "tags", "last items/30d") for number in np.unique(batch[key])} - {0}
    for layer in key_layers(model):
        assert layer.num_used == len(seen) and layer.keys_are_ids
        assert set(layer.keys.numpy()) - {0} == seen
    assert key_layers(model)
    asked = batch_of_keys(40, seed=5)
    np.testing.assert_allclose(logits(freeze_keys(model), asked), logits(model, asked), rtol=1e-5, atol=1e-6)


def test_what_cannot_have_keys_says_why() -> None:
    with pytest.raises(ValueError, match="per_scenario looks each id up in the tables of all scenarios"):
        build_model("per_scenario", FEATURES, **SMALL["per_scenario"], **{"embedding.num_keys": 50})
    for name in ("per_scenario", "dnn", "din"):
        with pytest.raises(ValueError, match=r"'user', 'item', 'last items/30d' have keys without a vocabulary"):
            build_model(name, FEATURES_OF_KEYS, **SMALL[name])
    with pytest.raises(ValueError, match="'user' has keys without a vocabulary; take another field"):
        options = {"embedding.dim": 4, "deep.units": (8,), "condition.kind": "group", "condition.fields": "user"}
        build_model("apg_dnn", FEATURES_OF_KEYS, **options, **{"embedding.num_keys": 50})
    with pytest.raises(ValueError, match="no field has a size of its own or is frozen"):
        build_model("dnn", FEATURES, **{"embedding.num_keys": 50, "embedding.frozen": "user"})
    with pytest.raises(ValueError, match="index_kind"):
        build_model("dnn", FEATURES, **{"embedding.num_keys": 50, "embedding.index_kind": "tensorflw"})
