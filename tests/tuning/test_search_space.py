"""The catalogue's spaces, and what a settings file puts over them."""

from __future__ import annotations

from typing import Any

import keras_tuner
import pytest

from dynctr_tf.models.catalogue import CATALOGUE, Choice, LogUniform, Uniform
from dynctr_tf.tuning import catalogue_space, grid_size, with_own_space
from dynctr_tf.tuning.search_space import declare, drawn_values


def test_the_space_of_dynint_is_the_papers() -> None:
    for mode, ranks in (("da", None), ("dgp", (16, 32, 64, 128)), ("dwp", (1, 2, 3, 4))):
        space = catalogue_space(f"dynint_{mode}", "group_ftrl")
        assert space["model.num_layers"] == Choice((1, 2, 3, 4))
        assert space["model.num_subspaces"] == Choice((1, 2, 4, 8, 16))
        assert space["model.generator.reduction_ratio"] == Choice((2.0, 4.0, 8.0, 16.0))
        assert ranks is None or space["model.rank"] == Choice(ranks)
        for name in ("optimizer.learning_rate", "optimizer.dense_learning_rate"):
            assert space[name] == LogUniform(1e-2, 1e-1)
        # Each number of sub-spaces divides each size of an embedding, so that no draw is refused.
        sizes: Any = space["model.embedding.dim"]
        assert all(size % h == 0 for size in sizes.values for h in (1, 2, 4, 8, 16))
    for optimizer in ("lazy_adam", "adam"):
        assert catalogue_space("dynint_dgp", optimizer)["optimizer.learning_rate"] == LogUniform(1e-4, 1e-3)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_each_model_is_searched_with_its_optimizer_and_embedding(name: str) -> None:
    space = catalogue_space(name)
    assert "optimizer.learning_rate" in space
    assert "model.embedding.dim" in space or "embedding.dim" not in CATALOGUE[name].defaults


def test_a_users_space_goes_over_that_of_the_catalogue() -> None:
    own = {
        "model": {
            "num_layers": [2, 3],
            "rank": {"low": 8, "high": 64},
            "dropout": {"low": 0.0, "high": 0.5, "scale": "linear"},
        },
        "optimizer": {"learning_rate": 0.05},
        "training": {"batch_size": [1024, 4096]},
    }
    base = catalogue_space("dynint_dgp")
    space, fixed = with_own_space(base, own, "dynint_dgp")
    assert space["model.num_layers"] == Choice((2, 3)) and space["model.rank"] == LogUniform(8, 64)
    assert space["model.dropout"] == Uniform(0.0, 0.5) and space["training.batch_size"] == Choice((1024, 4096))
    assert fixed == {"optimizer.learning_rate": 0.05} and "optimizer.learning_rate" not in space
    rest = set(base) - {"model.num_layers", "model.rank", "optimizer.learning_rate"}
    assert all(space[name] == base[name] for name in rest)
    assert with_own_space({}, {"model": {"deep": {"units": [[8], [16, 8]]}}}, "dnn")[0]["model.deep.units"] == Choice(
        ((8,), (16, 8))
    )


def test_options_of_parts_are_tables_or_paths() -> None:
    tables = {"model": {"embedding": {"dim": [4, 8], "pooling": "sum", "initial_scale": {"low": 1e-3, "high": 0.1}}}}
    paths = {"model": {f"embedding.{name}": value for name, value in tables["model"]["embedding"].items()}}
    space, fixed = with_own_space({}, tables, "dnn")
    assert (space, fixed) == with_own_space({}, paths, "dnn")
    assert space == {"model.embedding.dim": Choice((4, 8)), "model.embedding.initial_scale": LogUniform(1e-3, 0.1)}
    assert fixed == {"model.embedding.pooling": "sum"}


def test_rows_are_penalised_by_the_model_or_by_the_optimizer() -> None:
    name = "model.embedding.row_regularizer_l2"
    assert name in catalogue_space("dnn", "lazy_adam") and name not in catalogue_space("dnn", "group_ftrl")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"modl": {}}, "'modl'. Did you mean 'model'"),
        ({"model": {"embedding": {"dims": [4]}}}, "'embedding.dims'. Did you mean 'embedding.dim'"),
        ({"model": {"num_layer": [1]}}, "'num_layer'. Did you mean 'num_layers'"),
        ({"optimizer": {"l2_1": [1]}}, "'l2_1'. Did you mean 'l21'"),
        ({"training": {"batch": [1]}}, "'batch'. Did you mean 'batch_size'"),
        ({"training": {"seed": [1, 2]}}, "'seed'"),
        ({"model": {"rank": []}}, "must list at least one value"),
        ({"model": {"rank": {"low": 4, "hihg": 8}}}, "'hihg'. Did you mean 'high'"),
        ({"model": {"rank": {"low": 8, "high": 4}}}, "needs low < high"),
        ({"model": {"dropout": {"low": 0.0, "high": 0.5}}}, "low > 0 on a logarithmic scale"),
        ({"model": {"rank": {"low": 4, "high": "8"}}}, "needs two numbers low and high"),
        ({"model": {"rank": {"low": 4, "high": 8, "scale": "lin"}}}, "Did you mean 'linear'"),
        ({"model": 3}, "must be a table of options, got 3"),
    ],
)
def test_what_is_wrong_is_named(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        with_own_space({}, own, "dynint_dgp", "group_ftrl")
    assert message in str(caught.value)


def test_whole_ranges_draw_whole_numbers() -> None:
    space = {"a": LogUniform(8, 64), "b": Uniform(0.0, 1.0), "c": Choice(((8,), (16, 8)))}
    for draw in (None, {"a": 13, "b": 0.25, "c": 1}):
        hyperparameters = keras_tuner.HyperParameters()
        if draw:
            hyperparameters.values.update(draw)
        declare(hyperparameters, space)
        values = drawn_values(hyperparameters, space)
        assert isinstance(values["a"], int) and isinstance(values["b"], float) and values["c"] in space["c"].values
    assert values == {"a": 13, "b": 0.25, "c": (16, 8)}


def test_points_make_a_list_of_a_range() -> None:
    def drawn(given: dict[str, Any]) -> Any:
        return with_own_space({}, {"model": {"rank": given}}, "dynint_dgp")[0]["model.rank"]

    assert drawn({"low": 16, "high": 128, "points": 4}) == Choice((16, 32, 64, 128))
    assert drawn({"low": 1, "high": 4, "scale": "linear", "points": 4}) == Choice((1, 2, 3, 4))
    assert drawn({"low": 1e-4, "high": 1e-3, "points": 3}) == Choice((1e-4, 0.000316228, 1e-3))
    assert grid_size({"a": Choice((1, 2)), "b": Choice((1, 2, 3))}) == 6
    for wrong in (1, 2.5, True):
        with pytest.raises(ValueError, match="points must be a whole number of at least 2"):
            drawn({"low": 1, "high": 4, "points": wrong})
    with pytest.raises(ValueError, match="Unknown key of the range .*Did you mean 'points'"):
        drawn({"low": 1, "high": 4, "point": 3})
