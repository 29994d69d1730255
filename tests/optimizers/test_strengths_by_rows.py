"""G-FTRL's strengths for another number of rows than the author's."""

from __future__ import annotations

import pytest

from dynctr_tf.optimizers.dynint_optimizer import ROWS_OF_THE_STRENGTHS, dynint_optimizer
from dynctr_tf.optimizers.registry import make_optimizer


def test_strengths_follow_the_square_root_of_the_rows() -> None:
    tables = dynint_optimizer(1024, rows=ROWS_OF_THE_STRENGTHS // 100).members()[0]
    assert tables.l21 == pytest.approx(1.0, rel=1e-5) and tables.l2 == pytest.approx(1.0, rel=1e-5)
    assert tables.beta == 1.0 and tables.batch_size == 1024
    same = dynint_optimizer(1024, rows=ROWS_OF_THE_STRENGTHS).members()[0]
    assert (
        (same.l21, same.l2)
        == (10.0, 10.0)
        == (
            dynint_optimizer(1024).members()[0].l21,
            dynint_optimizer(1024).members()[0].l2,
        )
    )
    scaled = make_optimizer("group_ftrl", {"rows": 86_000, "l21": 1.0}, batch_size=64).members()[0]
    assert scaled.l21 == pytest.approx((86_000 / ROWS_OF_THE_STRENGTHS) ** 0.5)


@pytest.mark.parametrize("rows", [0, -3, 2.5, True])
def test_a_wrong_number_of_rows_is_refused(rows: object) -> None:
    with pytest.raises(ValueError, match="rows must be the number of training rows"):
        dynint_optimizer(64, rows=rows)  # type: ignore[arg-type]
