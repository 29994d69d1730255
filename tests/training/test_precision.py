"""What a job says of bfloat16 fits the machine."""

from __future__ import annotations

import pytest

from dynctr_tf.training import machine_record
from dynctr_tf.training.precision import bfloat16_unit, mixed_precision_advice


def test_the_unit_is_that_of_the_machine() -> None:
    record = machine_record()
    if record["gpus"]:
        pytest.skip("GPUs train here, and say themselves what they can do")
    unit = bfloat16_unit()
    assert (unit is not None) == any(name in record["cpu_features"] for name in ("amx_bf16", "avx512_bf16"))
    assert unit is None or record["cpu"] in unit


def test_advice_is_given_where_the_choice_is_not_the_fast_one() -> None:
    assert "--training.mixed_precision true" in mixed_precision_advice("AMD EPYC (avx512_bf16)", False)
    assert "leave training.mixed_precision false" in mixed_precision_advice(None, True)
    assert mixed_precision_advice("AMD EPYC (avx512_bf16)", True) == mixed_precision_advice(None, False) == ""
