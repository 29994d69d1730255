"""Every model of the catalogue gets a report of its zero rows, which follows each training."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import FEATURES, SMALL

from dynctr_tf.evaluation import sparsity_report
from dynctr_tf.models import build_model

# The tables that a model has for one id, where it is not one.
TABLES = {"per_scenario": FEATURES.num_scenarios - 2}


@pytest.mark.parametrize("name", SMALL)
def test_every_model_of_the_catalogue_has_a_report(name: str) -> None:
    model = build_model(name, FEATURES, **SMALL[name])
    tables = [weight for weight in model.trainable_weights if weight.shape[0] % FEATURES.num_ids == 0]
    expected = {field.name: 0 for field in FEATURES.fields}
    for table in tables:
        rows = np.ones((table.shape[0] // FEATURES.num_ids, FEATURES.num_ids, table.shape[1]), np.float32)
        rows[-1, 21:24] = 0  # of the last scenario alone, where each has a table
        rows[0, 26] = 0
        table.assign(rows.reshape(table.shape))
        expected["scenario_id"] += 3
        expected["item"] += 1
    report = sparsity_report(model, FEATURES)
    assert {field.name: field.zero for field in report.fields} == expected
    count = sum(table.shape[0] for table in tables) // FEATURES.num_ids
    assert count == TABLES.get(name, 1)
    assert [field.total for field in report.fields] == [count * field.num_ids for field in FEATURES.fields]
