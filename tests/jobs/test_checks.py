"""What is refused before the training: here, rows whose weights make up for a sampling that is corrected once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynctr_tf.datasets import TabularFile
from dynctr_tf.encoding import EncodedDataset, Encoder, write_encoded_dataset
from dynctr_tf.jobs.checks import check_evaluation
from dynctr_tf.jobs.settings import job_settings
from dynctr_tf.schema import Feature, Schema


def encoded(folder: Path, header: str, rows: list[str], **schema: str) -> EncodedDataset:
    """Rows of a user, a label and a column that counts them, all in each split."""
    path = folder / "rows.csv"
    path.write_text("\n".join([header, *rows * 40]) + "\n")
    source = TabularFile(path, Schema((Feature("user", "categorical"),), label="click", **schema))
    return write_encoded_dataset(source, Encoder.fit(source), folder / "data")


def test_weights_that_make_up_for_the_sampling_already_are_refused(tmp_path: Path) -> None:
    data = encoded(tmp_path, "user,click,weight", ["a,1,1", "b,0,10", "c,0,10", "d,1,1"], weight="weight")
    check_evaluation(job_settings({"data": {"negative_sampling_rate": 0.5}}), data)
    with pytest.raises(ValueError, match=r"weigh 10 times as much as clicks.*Leave one of the two out"):
        check_evaluation(job_settings({"data": {"negative_sampling_rate": 0.1}}), data)


def test_numbers_of_impressions_are_no_such_weights(tmp_path: Path) -> None:
    # Rows of one impression are clicked or not, rows of ten have one click.
    data = encoded(tmp_path, "user,click,shown", ["a,1,1", "b,1,10", "c,0,10", "d,1,1"], impressions="shown")
    check_evaluation(job_settings({"data": {"negative_sampling_rate": 0.1}}), data)
