"""What `python -m pipelines.train --list-models` prints: for each model its paper, options, search space and cost."""

from __future__ import annotations

import inspect

import pytest

from dynctr_tf.models.catalogue import CATALOGUE, describe_models

LISTING = {part.splitlines()[0]: part for part in describe_models().split("\n\n")}


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_signature_says_that_a_model_is_returned(name: str) -> None:
    assert inspect.signature(CATALOGUE[name].function).return_annotation == "keras.Model"


@pytest.mark.parametrize("name", CATALOGUE)
def test_listing_tells_paper_options_search_space_and_cost(name: str) -> None:
    entry, text = CATALOGUE[name], LISTING[name]
    assert f"paper: {entry.paper}" in text
    assert entry.cost, f"the documentation of {entry.function.__name__} has no paragraph 'Cost: ...'"
    assert f"cost: {entry.cost}" in text
    for option, default in entry.defaults.items():
        assert f"    {option} " in text and f"default {default!r}" in text
    for option, choice in entry.search_space.items():
        bounds = [repr(value) for value in choice.values] if hasattr(choice, "values") else [f"{choice.low:g}"]
        assert all(bound in text for bound in bounds), option
