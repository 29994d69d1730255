"""What the catalogue keeps of a model, and how a search space is written."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.options import check_options


@dataclasses.dataclass(frozen=True)
class Choice:
    """A hyper-parameter that takes one of some values.

    Args:
        values: The values.
    """

    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A hyper-parameter that is drawn uniformly on a logarithmic scale, a whole number where both ends are.

    Args:
        low: Smallest value, above 0.
        high: Largest value.
    """

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A hyper-parameter that is drawn uniformly, a whole number where both ends are.

    Args:
        low: Smallest value.
        high: Largest value.
    """

    low: float
    high: float


SearchSpace = Mapping[str, Choice | LogUniform | Uniform]
"""What a search draws for each option of a model."""


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """What the catalogue knows of a model.

    Args:
        name: Its name in configurations and reports.
        function: The function that builds it.
        title: The paper's title.
        paper: Where it is: `"arXiv ..."` or a conference.
        equation: Which equations of it the model is.
        optimizer: The name of the optimizer in `dynctr_tf.optimizers.registry` that it is trained with unless told
            otherwise.
        fixed: Options that this name stands for, such as the mode of DynInt. Default none.
        search_space: Options of the model to search. Default none.
    """

    name: str
    function: Callable[..., Any]
    title: str
    paper: str
    equation: str
    optimizer: str
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    search_space: SearchSpace = dataclasses.field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Any]:
        """The options that may be given to the model, with their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name not in (*self.fixed, "name")
        }

    @property
    def cost(self) -> str:
        """What the model costs, as the documentation of its function says it; empty where that says nothing."""
        paragraphs = (inspect.getdoc(self.function) or "").split("\n\n")
        costs = [paragraph for paragraph in paragraphs if paragraph.startswith("Cost: ")]
        return " ".join(costs[0].removeprefix("Cost: ").split()) if costs else ""

    def build(self, features: EncodedFeatures, **options: Any) -> Any:
        """Builds the model.

        Args:
            features: The description that the encoder gives.
            **options: Options of its function.

        Raises:
            ValueError: An option that it does not have, one of a wrong type or out of range, or a value that its
                function refuses.
        """
        check_options(f"model {self.name!r}", self.function, options, self.defaults)
        return self.function(features, **self.fixed, **options, name=self.name.replace("-", "_"))
