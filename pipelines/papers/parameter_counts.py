"""Counts the parameters of DPN's models beside those that the paper prints.

`python -m pipelines.papers.parameter_counts` prints tables 2a, 2b and 2c of Zhu et al., Dynamic Parameterized Network
for CTR Prediction, arXiv 2111.04983: MovieLens-tag, 3 fields, embedding 10, embeddings not counted.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dynctr_tf.encoding.encoded_features import EncodedFeatures, Field
from dynctr_tf.models import Deep, Operation, dpn, dpn_field, field_dnn

FEATURES = EncodedFeatures((Field("user", "user", 1, 9), Field("movie", "item", 10, 9), Field("tag", "query", 19, 9)))
_FIRST, _STATIC, _TWO = ("x0", None), (None, None), (300, 300)


@dataclasses.dataclass(frozen=True)
class PrintedCount:
    """A row of the paper's tables.

    Args:
        table: Which one.
        row: What it is called there.
        thousands: The count that is printed.
        options: Options of `dpn`, of `dpn_field` where there is an aggregator, or the `field_units` of `field_dnn`.
        remark: Why our count differs. Default `""`.
    """

    table: str
    row: str
    thousands: int
    options: Mapping[str, Any]
    remark: str = ""


def _net(contexts: Any = _FIRST, hidden_units: Any = _TWO, **options: Any) -> dict[str, Any]:
    deep, operation = Deep(hidden_units, batch_norm=True), Operation(**options)
    return {"contexts": contexts, "deep": deep, "operation": operation}


PRINTED = (
    PrintedCount("2a", "MLP of 3 layers", 192, _net(None, (300, 300, 300))),
    PrintedCount("2a", "MLP of 2 layers, 300", 101, _net(None)),
    PrintedCount("2a", "MLP of 2 layers, 400", 175, _net(None, (400, 400))),
    PrintedCount("2a", "HyperDense", 371, _net(kind="hyper_dense", bias_kind="static")),
    PrintedCount("2a", "equation 5, l = 4, sigmoid", 129, _net(gate_activation="sigmoid")),
    PrintedCount("2a", "equation 5, l = 4, softmax", 129, _net()),
    PrintedCount("2a", "equation 5, h = 2", 101, _net(num_kernels=2, num_heads=2)),
    PrintedCount(
        "2a", "equation 5, h = 2, shared heads", 101, _net(num_heads=2, head_kind="shared", bias_kind="static")
    ),
    PrintedCount("2a", "P phi(z) Q", 108, _net(kind="decomposed")),
    PrintedCount("2a", "W0 + P phi(z) Q", 117, _net(kind="decomposed", static_kernel=True)),
    PrintedCount("2b", "fc1, z0", 129, _net(("z0", None))),
    PrintedCount("2b", "fc2, z0", 372, _net((None, "z0"))),
    PrintedCount("2b", "both, z0", 400, _net("z0")),
    PrintedCount("2b", "both, x0", 400, _net("x0")),
    PrintedCount("2b", "both, (x0, y_l0)", 401, _net(("x0", "y1"))),
    PrintedCount("2b", "both, x_t", 400, _net("x:tag")),
    PrintedCount("2b", "both, z_t", 400, _net("z:tag")),
    PrintedCount("2b", "both, z_m", 400, _net("z:movie")),
    PrintedCount(
        "2c",
        "Field-DNN, 100-100",
        11,
        {"field_units": (100, 100)},
        "1 100 + 10 100 of the layers, 2 x 200 of batch normalisation, 3 x 100 + 1 of the output: 11k only if cut off",
    ),
    PrintedCount("2c", "Field-DNN, 200-200", 44, {"field_units": (200, 200)}),
    PrintedCount("2c", "summation", 46, {"aggregator": "summation", "implicit": False}),
    PrintedCount("2c", "self + implicit", 57, {"aggregator": "self"}),
    PrintedCount("2c", "summation + implicit", 57, {"aggregator": "summation"}),
    PrintedCount("2c", "attention + implicit", 57, {"aggregator": "attention"}),
    PrintedCount("2c", "concat + implicit", 87, {"aggregator": "concatenate", "project_contexts": True}),
    PrintedCount(
        "2c",
        "concat + implicit, no projection",
        87,
        {"aggregator": "concatenate"},
        "29 420 fewer: the projections 30 x 10 and 300 x 100, less what they save, (20 + 200) x 4 of the gates",
    ),
)


def count_parameters(printed: PrintedCount) -> int:
    """Builds the model of a row and counts what it trains beside the embeddings.

    Args:
        printed: The row.
    """
    if "field_units" in printed.options:
        model = field_dnn(FEATURES, deep=Deep(printed.options["field_units"], batch_norm=True))
    else:
        build = dpn_field if "aggregator" in printed.options else dpn
        model = build(FEATURES, **printed.options)
    counted = [tuple(w.shape) for w in model.trainable_weights if w.shape[0] != FEATURES.num_ids]
    return int(sum(np.prod(shape) for shape in counted))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.papers.parameter_counts", description=__doc__)
    parser.parse_args(arguments)
    print(f"{'table':6}{'row':38}{'paper':>8}{'built':>9}")
    agreeing = 0
    for printed in PRINTED:
        found = count_parameters(printed)
        agreeing += round(found / 1000) == printed.thousands
        print(f"{printed.table:6}{printed.row:38}{printed.thousands:>7}k{found:>9} {printed.remark}".rstrip())
    print(
        f"{agreeing} of {len(PRINTED)} rows agree with the printed thousands; the others have their reason beside them"
    )


if __name__ == "__main__":
    main()
