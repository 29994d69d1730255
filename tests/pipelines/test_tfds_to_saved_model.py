"""From tensorflow-datasets over a strategy to a SavedModel that answers raw rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from original_lines import tag_rows, write_tags_dat

from dynctr_tf.datasets import TfdsRows, first_rows

WORDS = ["--data.name", "tfds", "--data.options.dataset", "movielens_tag/random", "--data.options.data_dir", "data"]
WORDS += ["--model.name", "dnn", "--model.embedding.dim", "4", "--model.deep.units", "[8]", "--training.epochs", "1"]
WORDS += ["--training.batch_size", "100", "--training.tensorboard", "false", "--evaluation.replicates", "40"]
WORDS += ["--export.even_if_worse_than_base_rate", "true", "--run-directory", "run"]


def test_a_prepared_data_set_trains_on_two_replicas_and_is_served(tmp_path: Path) -> None:
    write_tags_dat(tmp_path / "tags.dat", tag_rows(500))
    config = tfds.download.DownloadConfig(manual_dir=str(tmp_path))
    prepared = {"data_dir": tmp_path / "data", "download_and_prepare_kwargs": {"download_config": config}}
    _, info = tfds.load("movielens_tag/random", with_info=True, **prepared)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pipelines.train", *WORDS, "--strategy", "mirrored", "--training.replicas", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = first_rows(TfdsRows("movielens_tag/random", data_dir=tmp_path / "data"), "test", 1000)
    sizes = [info.splits[name].num_examples for name in ("train", "validation", "test")]
    assert "{:,} train, {:,} validation, {:,} test rows".format(*sizes) in done.stdout and sizes[2] == rows.num_rows
    (version,) = (tmp_path / "saved_models").glob("*/*/saved_model.pb")
    served = tf.saved_model.load(str(version.parent)).signatures["serving_default"]
    given = {name: tf.constant(rows.column(name).to_pylist()) for name in ("user_id", "movie_id", "tag")}
    answered = np.concatenate([value.numpy().ravel() for key, value in served(**given).items() if "logit" in key])
    np.testing.assert_allclose(answered, np.load(tmp_path / "run" / "test_logits.npy").ravel(), atol=1e-5)
