"""Parts of models: what they refuse, how they are written and compared, and that models have what they say."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest

from dynctr_tf import models
from dynctr_tf.models import (
    Adaptive,
    Condition,
    Deep,
    Embedding,
    Generator,
    Hidden,
    History,
    Operation,
    Tower,
)

PARTS = (Adaptive, Condition, Deep, Embedding, Generator, Hidden, History, Operation, Tower)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Deep(8), "units of Deep must be a list of whole numbers, got 8"),
        (lambda: Deep((8, 0)), "units of Deep must be from 1"),
        (lambda: Deep((8,), dropout=1), "dropout of Deep must be from 0 to below 1, got 1"),
        (lambda: Deep((8,), batch_norm="yes"), "must be true or false"),
        (lambda: Tower((8,), kernel_regularizer_l2=-1.0), "must be at least 0"),
        (lambda: Hidden(activation=3), "activation of Hidden must be a text"),
        (lambda: Embedding(initial_scale=float("nan")), "must be finite"),
        (lambda: Embedding(initial_scale=np.float32("nan")), "must be finite"),
        (lambda: Embedding(np.int64(0)), "dim of Embedding must be from 1"),
        (lambda: Deep((8,), dropout=np.float32(1.0)), "dropout of Deep must be from 0 to below 1"),
        (lambda: History("items"), "sequences of History must be a list of texts or none"),
        (lambda: Operation("mixture"), "'mixture_of_kernels'"),
        (lambda: Operation("hyper_dense", bias_kind="statik"), "Unknown bias: 'statik'. Did you mean 'static'"),
        (lambda: Operation("decomposed", head_kind="share"), "Unknown heads: 'share'. Did you mean 'shared'"),
        (lambda: Operation(rank=0), "rank of Operation must be above 0"),
        (lambda: Generator(0.0), "must be above 0"),
        (lambda: Condition("itself"), "Did you mean 'self'"),
        (lambda: Adaptive("atuo"), "Did you mean 'auto'"),
        (lambda: Adaptive(depth=0), "must be from 1"),
        (lambda: models.sdpn(None, history=History()), "sdpn has both operations"),
    ],
)
def test_wrong_values_are_refused_where_they_are_given(make: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert message in str(caught.value)


def test_parts_are_values() -> None:
    assert Deep([8, 4]) == Deep((8, 4)) != Deep((8,)) and len({Deep([8, 4]), Deep((8, 4))}) == 1
    assert Embedding(np.int64(4)).dim == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        Embedding().dim = 3  # type: ignore[misc]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_written_as_it_is_made(part: Any) -> None:
    made = part((8, 4)) if part in (Deep, Tower) else part()
    others: dict[type, Any] = {bool: True, int: 3, float: 0.5}
    changed = {field.name: others.get(type(getattr(made, field.name))) for field in dataclasses.fields(part)}
    other = dataclasses.replace(made, **{name: value for name, value in changed.items() if value is not None})
    assert other != made
    for one in (made, other):
        assert eval(repr(one), {part.__name__: part}) == one
    text = inspect.getdoc(part) or ""
    assert all(f"    {field.name}: " in text for field in dataclasses.fields(part))
