"""The speed benchmark: a model's limit, the multiply-adds of its rows, and where the time of a step goes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models import Adaptive, Deep, Embedding
from dynctr_tf.models.catalogue import build_model
from pipelines.benchmarks.model_speed import PRECISIONS, matmul_multiply_adds
from pipelines.benchmarks.speed_picture import draw_speed
from pipelines.benchmarks.step_profile import grouped

FEATURES = EncodedFeatures.from_sizes([5] * 3)
ROWS = {"fields": np.tile(np.array([field.first_id for field in FEATURES.fields], np.int32), (2, 1))}


def test_layers_of_a_perceptron() -> None:
    model = build_model("dnn", FEATURES, embedding=Embedding(4), deep=Deep((7, 6)))
    assert matmul_multiply_adds(model, ROWS) == 12 * 7 + 7 * 6 + 6


def test_what_a_batch_costs_once_is_no_rows() -> None:
    model = build_model(
        "apg_dnn",
        FEATURES,
        embedding=Embedding(4),
        deep=Deep((7,)),
        adaptive=Adaptive(2, 5),
    )
    # U, the generator of the core, the core, V, and the output; not U = U^l U^r (12 x 5 x 2) and V = V^l V^r.
    assert matmul_multiply_adds(model, ROWS) == 12 * 2 + 12 * 4 + 2 * 2 + 2 * 7 + 7


def test_the_profile_of_a_perceptron_has_its_products() -> None:
    """In a process of its own, whose policy of precision it sets."""
    words = ["one-profile", "dnn", "3900", "2048", "3", "--precision"]
    code = f"from pipelines import benchmark\nfor one in {PRECISIONS}: benchmark.main([*{words}, one])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    profiles = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(profiles) == len(PRECISIONS) == 2
    assert all(figures["work"]["matrix products"] > 0 for figures in profiles)
    # Features and labels are cast in float32 too, which a busy machine may measure as much.
    single, half = (figures["largest"].get("Cast", 0.0) for figures in profiles)
    assert half > single


def test_products_count_as_products_under_each_of_their_names() -> None:
    times = {
        "MatMul": 1.0,
        "_FusedMatMul": 2.0,
        "_MklNativeFusedMatMul": 4.0,
        "SparseTensorDenseMatMul": 8.0,
        "X": 16.0,
    }
    assert grouped(times) == {"other": 16.0, "summing gradients of rows": 8.0, "matrix products": 7.0}


def test_a_contender_that_lacks_a_figure_lacks_its_bar(tmp_path: Path) -> None:
    measured = {
        "model": "dcn_v2_mix",
        "num_ids": 1000,
        "variant": "float32",
        "train_rows_per_s": 20.0,
        "inference_rows_per_s": 90.0,
        "latency_ms_512": 4.0,
    }
    draw_speed(
        [{**measured, "library": "dynctr_tf", "latency_ms_1": 0.5}, {**measured, "library": "FuxiCTR"}],
        1000,
        tmp_path / "speed.png",
    )
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
