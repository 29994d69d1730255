"""What a dynamic model costs beside a static one: multiply-adds of a row and parameters without the tables.

`python -m pipelines.benchmarks.dynamic_costs` builds each dynamic model of the catalogue at its defaults, and a static
model with layers of the same widths, on 39 fields with embeddings of 16, eight scenarios and a history of 50 items. It
runs the graph to count the multiply-adds of the matrix products of a forward pass, and prints both models' figures and
the ratio. It times nothing, so every run prints the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dynctr_tf.evaluation.text_table import align
from pipelines import errors_as_messages

_NUM_FIELDS, _IDS_OF_A_FIELD = 39, 1000
_ROLES = ("user", "scenario", "item", "query")


class Pair(NamedTuple):
    """A dynamic model and the static one that it is compared with.

    Args:
        dynamic: Its name in the catalogue.
        static: The other's name.
        options: Options of the static model that give it the dynamic model's widths.
    """

    dynamic: str
    static: str
    options: dict[str, Any]


_APG_BASES = ("dnn", "wide_deep", "deepfm", "pnn", "dcn", "dcn_v2", "fibinet")
_NARROW = {"deep.units": (256, 128, 64)}
PAIRS = (
    *(Pair(f"dynint_{mode}", "xdeepint", {}) for mode in ("da", "dgp", "dwp")),
    Pair("dpn", "dnn", {}),
    Pair("dpn_field", "field_dnn", {}),
    *(Pair(f"apg_{base}", base, {}) for base in _APG_BASES),
    Pair("apg_autoint", "autoint_plus", {}),
    *(Pair(name, "din", {}) for name in ("dymlp", "sdpn", "can")),
    # OptMSM has an encoder for each scenario, each as wide as the bottom that it is compared with.
    Pair("optmsm", "shared_bottom", {"deep.units": (128, 64), "tower_units": (64, 32)}),
    Pair("star", "shared_bottom", {}),
    Pair("m2m", "mmoe", {}),
    *(Pair(name, "dnn", _NARROW) for name in ("pepnet", "lhuc", "poso")),
    *(Pair(name, "dnn", {}) for name in ("gatenet", "masknet_serial", "masknet_parallel")),
)
"""The pairs that are counted."""


class Cost(NamedTuple):
    """Multiply-adds of a row, and the parameters without the tables."""

    multiply_adds: float
    parameters: int


def example_features() -> Any:
    """39 fields of 1000 ids, among them one of each role, eight scenarios and a history of 50 items."""
    from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field

    roles = [*_ROLES, *["context"] * (_NUM_FIELDS - len(_ROLES))]
    fields = tuple(
        Field(f"f{index}", role, 1 + index * _IDS_OF_A_FIELD, _IDS_OF_A_FIELD) for index, role in enumerate(roles)
    )
    item = fields[_ROLES.index("item")]
    history = EncodedSequence("history", "user", 50, item.first_id, item.num_ids, field=item.name)
    return EncodedFeatures(fields, (history,), num_scenarios=10)  # with those of missing and unknown ones


def example_batch(features: Any, rows: int = 4) -> dict[str, np.ndarray]:
    """A small batch for these features."""
    rng = np.random.default_rng(0)
    first = np.array([field.first_id for field in features.fields])
    ids = first + rng.integers(2, _IDS_OF_A_FIELD, (rows, _NUM_FIELDS))
    history = features.sequences[0]
    own = history.first_id + rng.integers(2, history.num_ids, (rows, history.length))
    scenario = rng.integers(2, features.num_scenarios, rows)
    batch = {"fields": ids, "history": own, "scenario": scenario}
    return {name: values.astype(np.int32) for name, values in batch.items()}


def cost_of(name: str, options: dict[str, Any]) -> Cost:
    """Builds a model and counts.

    Args:
        name: Its name in the catalogue.
        options: Options beside the defaults.
    """
    from dynctr_tf.models.catalogue import build_model
    from pipelines.benchmarks.model_speed import matmul_multiply_adds

    features = example_features()
    model = build_model(name, features, **options)
    tables = sum(int(np.prod(weight.shape)) for weight in model.weights if features.num_ids in tuple(weight.shape))
    return Cost(matmul_multiply_adds(model, example_batch(features)), model.count_params() - tables)


def ratio(pair: Pair) -> float:
    """Multiply-adds of the dynamic model over those of the static one."""
    return cost_of(pair.dynamic, {}).multiply_adds / cost_of(pair.static, pair.options).multiply_adds


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.benchmarks.dynamic_costs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    with errors_as_messages(parser, goes_on=False):
        rows = []
        for pair in PAIRS:
            ours, static = cost_of(pair.dynamic, {}), cost_of(pair.static, pair.options)
            rows.append([
                pair.dynamic, f"{ours.multiply_adds:,.0f}", f"{ours.parameters:,}",
                pair.static, f"{static.multiply_adds:,.0f}", f"{static.parameters:,}",
                f"{ours.multiply_adds / static.multiply_adds:.2f}",
            ])  # fmt: skip
        head = ["dynamic", "multiply-adds", "parameters", "static", "multiply-adds", "parameters", "x"]
        print("\n".join(align([head, *rows])))


if __name__ == "__main__":
    main()
