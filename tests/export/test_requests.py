"""Requests that leave features out, and of one user and many items, in a session as servers run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.encoding import Encoder
from dynctr_tf.export import export_model
from dynctr_tf.export.raw_requests import item_features, raw_tensors
from dynctr_tf.models import Deep, Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.schema import Feature, Schema
from dynctr_tf.training import set_seed
from tests.export.test_export import SCHEMA, Exported, Rows, changed, close

ITEMS = {"price", "tags", "item"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("saved_models"))


class Client:
    """What a server does with a request: it feeds what was given, and takes the defaults of the signature or none."""

    def __init__(self, path: Path) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.session = tf.compat.v1.Session()
            self.signatures = tf.compat.v1.saved_model.load(self.session, ["serve"], str(path)).signature_def

    def ask(self, signature: str, request: dict[str, np.ndarray], *, fill: bool = False) -> np.ndarray:
        described = self.signatures[signature]
        if fill:
            defaults = {name: tf.make_ndarray(value) for name, value in described.defaults.items()}
            request = {**defaults, **request}
        feed = {described.inputs[name].name: value for name, value in request.items()}
        return np.asarray(self.session.run(described.outputs["logit"].name, feed), np.float64)


@pytest.fixture(scope="module")
def client(exported: Exported) -> Client:
    return Client(exported.path)


def raw(exported: Exported, rows: int) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in raw_tensors(exported.sample.slice(0, rows), SCHEMA).items()}


@pytest.mark.parametrize(
    "left_out",
    [["user"], ["age", "scene"], ["tags"], ["history", "site"], [f.name for f in SCHEMA.features if f.name != "price"],
     [f.name for f in SCHEMA.features if f.name != "history"]],
    ids="-".join,
)  # fmt: skip
@pytest.mark.parametrize("fill", [False, True], ids=["in the graph", "by the server"])
def test_features_are_left_out(left_out: list[str], fill: bool, exported: Exported, client: Client) -> None:
    expected = exported.expected(changed(exported.sample.slice(0, 9), **dict.fromkeys(left_out)))
    request = {name: value for name, value in raw(exported, 9).items() if name not in left_out}
    close(client.ask("serving_default", request, fill=fill), expected)


def test_every_raw_input_has_a_default_and_no_other(client: Client) -> None:
    for name in ("serving_default", "candidates"):
        described = client.signatures[name]
        assert set(described.defaults) == set(described.inputs) == {feature.name for feature in SCHEMA.features}
        for feature in SCHEMA.features:
            shape = [dim.size for dim in described.defaults[feature.name].tensor_shape.dim]
            assert shape == ([0] if feature.kind in ("categorical", "numeric") else [0, 0])
    assert not client.signatures["encoded"].defaults and not client.signatures["examples"].defaults
    assert client.ask("serving_default", {}).shape == (0,)


@pytest.mark.parametrize("left_out", [set(), {"user", "tags"}], ids=["complete", "two left out"])
def test_only_the_defaults_of_absent_features_run(left_out: set[str], exported: Exported, client: Client) -> None:
    described = client.signatures["serving_default"]
    request = {name: value for name, value in raw(exported, 1).items() if name not in left_out}
    feed = {described.inputs[name].name: value for name, value in request.items()}
    options, metadata = tf.compat.v1.RunOptions(output_partition_graphs=True), tf.compat.v1.RunMetadata()
    client.session.run(described.outputs["logit"].name, feed, options=options, run_metadata=metadata)
    run = {node.name for graph in metadata.partition_graphs for node in graph.node}
    assert len(run) > 20
    inputs = {name: info.name.removesuffix(":0") for name, info in described.inputs.items()}
    # What has no other default becomes a constant of the default's value before it runs.
    assert {name for name, node in inputs.items() if node in run} <= left_out


def test_one_user_and_many_items(exported: Exported, client: Client) -> None:
    assert item_features(SCHEMA) == ITEMS
    full = raw(exported, 40)
    once = {name: value if name in ITEMS else value[:1] for name, value in full.items()}
    repeated = {name: value if name in ITEMS else np.repeat(value[:1], 40, axis=0) for name, value in full.items()}
    expected = client.ask("serving_default", repeated)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(client.ask("candidates", once), expected, rtol=1e-6, atol=1e-6)
    for left_out in ("user", "history", "price", "tags", "scene"):
        some = [{name: value for name, value in request.items() if name != left_out} for request in (once, repeated)]
        expected = client.ask("serving_default", some[1])
        np.testing.assert_allclose(client.ask("candidates", some[0]), expected, rtol=1e-6, atol=1e-6)


def test_tables_of_their_own_are_served(exported: Exported, tmp_path: Path) -> None:
    set_seed(0)
    embedding = Embedding(8, initial_scale=1.0, sizes=("user=3", "item=12"), frozen="tags")
    model = build_model("deepfm", exported.encoder.features, embedding=embedding, deep=Deep((8,)))
    # The export compares the signatures with the model, and fails where they differ.
    client = Client(export_model(model, exported.encoder, tmp_path / "clicks", exported.sample))
    full = raw(exported, 40)
    once = {name: value if name in ITEMS else value[:1] for name, value in full.items()}
    repeated = {name: value if name in ITEMS else np.repeat(value[:1], 40, axis=0) for name, value in full.items()}
    expected = client.ask("serving_default", repeated)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(client.ask("candidates", once), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("signature", "feature", "rows"),
    [("serving_default", "user", 1), ("serving_default", "tags", 2), ("candidates", "user", 2),
     ("candidates", "history", 3), ("candidates", "item", 1), ("candidates", "tags", 4)],
)  # fmt: skip
def test_another_number_of_rows_is_refused(
    signature: str, feature: str, rows: int, exported: Exported, client: Client
) -> None:
    request = raw(exported, 3)
    if signature == "candidates":
        request = {name: value if name in ITEMS else value[:1] for name, value in request.items()}
    client.ask(signature, request)
    wrong = {**request, feature: np.repeat(request[feature][:1], rows, axis=0)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="same number of rows"):
        client.ask(signature, wrong)


@pytest.mark.parametrize("role", ["item", "context"])
def test_a_schema_of_one_side_has_no_signature_of_two(role: Any, tmp_path: Path) -> None:
    source = Rows()
    features = tuple(Feature(name, "categorical", role=role) for name in ("user", "item"))
    source.schema = Schema(features, label="click")  # type: ignore[misc]
    encoder = Encoder.fit(source, progress=False)
    set_seed(0)
    model = build_model("lr", encoder.features)
    path = export_model(model, encoder, tmp_path / "clicks", source.columns.slice(0, 5))
    assert set(Client(path).signatures) - {"__saved_model_init_op"} == {"serving_default", "examples", "encoded"}
