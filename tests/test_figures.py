"""Numbers as text, and the names that are meant."""

from __future__ import annotations

import math

import pytest

from dynctr_tf.figures import figures_text, share_text
from dynctr_tf.nearest import nearest_full_names, unknown_name_message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.45123, "0.4512"),
        (0.045123, "0.04512"),
        (0.0055123, "0.005512"),
        (0.00999996, "0.01000"),
        (1.25, "1.2500"),
        (0.0, "0.0000"),
        (-0.0055123, "-0.005512"),
        (1963894.0, "1.964e+06"),
        (575203048542256704.0, "5.752e+17"),
        (math.nan, "-"),
        (math.inf, "inf"),
    ],
)
def test_four_figures(value: float, text: str) -> None:
    assert figures_text(value) == text


def test_shares_have_three_figures() -> None:
    assert [share_text(value) for value in (0.0398, 0.000745, 0.0, 1.0)] == ["3.98 %", "0.0745 %", "0.00 %", "100.00 %"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("training.learning_rate", ["optimizer.options.learning_rate"]),
        ("learning_rate", ["optimizer.options.learning_rate"]),
        ("Learning-Rate", ["optimizer.options.learning_rate"]),
        ("lr", ["optimizer.options.learning_rate"]),
        ("epochs", ["training.epochs"]),
        ("training.epoch", ["training.epochs"]),
        ("model.options.embedding_dim", ["model.embedding.dim"]),
        ("min_freq", ["data.min_count"]),
        ("batch_size", ["evaluation.batch_size", "training.batch_size"]),
        ("evaluation.batchsize", ["evaluation.batch_size"]),
        ("something.else_entirely", []),
    ],
)
def test_full_names_are_looked_for_in_all_sections(given: str, meant: list[str]) -> None:
    known = ["training.epochs", "training.batch_size", "evaluation.batch_size", "data.min_count", "data.seed"]
    known += ["optimizer.options.learning_rate", "model.embedding.dim"]
    assert nearest_full_names(given, known) == meant


def test_case_and_hyphens_do_not_count() -> None:
    assert "Did you mean 'autoint_plus'" in unknown_name_message("model", "AutoInt_Plus", ["autoint", "autoint_plus"])
