"""A model that was trained on a share of the rows without a click serves probabilities of all rows."""

import json

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.datasets import SyntheticCtrRows
from dynctr_tf.datasets.row_source import RowBatch, first_rows
from dynctr_tf.encoding import Encoder, write_encoded_dataset
from dynctr_tf.export import export_model
from dynctr_tf.export.raw_requests import raw_tensors
from dynctr_tf.metrics import calibration_ratio, log_loss
from dynctr_tf.metrics.sampled_negatives import all_negatives
from dynctr_tf.models import Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers import LazyAdam
from dynctr_tf.training import set_seed

RATE = 0.1


class ThinnedRows:
    """All clicks of a source, and one in ten of its other rows."""

    def __init__(self, source):
        self.source = source
        self.schema, self.split_names, self.num_rows, self.skipped, self.files = (
            source.schema,
            source.split_names,
            None,
            {},
            (),
        )

    def batches(self):
        generator = np.random.default_rng(5)
        for columns, splits, _ in self.source.batches():
            clicks = columns.column(self.schema.label).to_numpy() == 1.0
            kept = clicks | (generator.uniform(size=clicks.size) < RATE)
            yield RowBatch(columns.filter(pa.array(kept)), splits[kept])


@pytest.fixture(scope="module")
def thinned(tmp_path_factory):
    source = SyntheticCtrRows(num_train=120_000, num_validation=100, num_test=20_000, click_rate=0.08, seed=3)
    encoder = Encoder.fit(ThinnedRows(source), progress=False)
    folder = tmp_path_factory.mktemp("thinned")
    data = write_encoded_dataset(ThinnedRows(source), encoder, folder / "data", progress=False)
    set_seed(0)
    model = build_model("fm", data.features, embedding=Embedding(dim=4))
    model.compile(LazyAdam(5e-3), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    model.fit(data.batches("train", 256, shuffle=True), epochs=2, verbose=0)
    rows = first_rows(source, "test", 20_000)
    path = export_model(model, encoder, folder / "served", rows.slice(0, 50), negative_sampling_rate=RATE)
    return model, data, source, rows, path


def test_served_probabilities_are_those_of_all_rows(thinned):
    _, data, source, rows, path = thinned
    answers = tf.saved_model.load(str(path)).signatures["serving_default"](**raw_tensors(rows, source.schema))
    served, logits = answers["ctr"].numpy(), answers["logit"].numpy().astype(np.float64)
    truth = rows.column(source.schema.true_probability).to_numpy()
    labels = rows.column(source.schema.label).to_numpy()
    assert data.num_rows("test") < 5_000
    # Against the probabilities that the labels were drawn with, and against the labels.
    assert served.mean() / truth.mean() == pytest.approx(1.0, abs=0.08)
    assert calibration_ratio(labels, logits) == pytest.approx(1.0, abs=0.12)
    # Without the correction it would answer several times too much.
    assert (1.0 / (1.0 + np.exp(-(logits - np.log(RATE))))).mean() / truth.mean() > 3.0
    # In tenths of the rows by prediction too, where there are clicks enough to tell.
    order = np.argsort(served)
    for tenth in np.array_split(order, 5)[1:]:
        assert served[tenth].mean() / truth[tenth].mean() == pytest.approx(1.0, abs=0.35)


def test_what_is_judged_on_thinned_rows_is_what_all_rows_say(thinned):
    model, data, source, rows, path = thinned
    answers = tf.saved_model.load(str(path)).signatures["serving_default"](**raw_tensors(rows, source.schema))
    labels = rows.column(source.schema.label).to_numpy()
    own = model.predict(data.batches("test", 4096), verbose=0).reshape(-1)
    judged = all_negatives(data.column("test", "label"), own, rate=RATE)
    assert log_loss(*judged) == pytest.approx(log_loss(labels, answers["logit"].numpy()), rel=0.03)
    card = json.loads((path / "assets.extra" / "about.json").read_text())
    assert card["options"]["negative_sampling_rate"] == RATE


def test_another_rate_is_another_version(thinned):
    model, data, _, rows, path = thinned
    sample = rows.slice(0, 50)
    assert export_model(model, data.encoder(), path.parent, sample, negative_sampling_rate=RATE) == path
    plain = export_model(model, data.encoder(), path.parent, sample)
    assert plain.name == "2"
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        export_model(model, data.encoder(), path.parent, sample, negative_sampling_rate=0.0)
