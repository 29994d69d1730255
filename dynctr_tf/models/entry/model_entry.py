"""The entry of a model in the catalogue."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.entry.search_space import SearchSpace
from dynctr_tf.options import check_options, option_paths, with_parts


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """The entry of a model in the catalogue.

    Args:
        name: Its name in configurations and reports: that of the function, then what it is fixed to.
        function: The function that builds it.
        title: The paper's title.
        paper: Where it is: `"arXiv ..."` or a conference.
        equation: The paper's equations that the model implements.
        optimizer: The model's default optimizer, a name in `dynctr_tf.optimizers.registry`. Default
            `"row_wise_adagrad"`.
        optimizer_options: Options of that optimizer that suit the model better than the optimizer's own defaults.
            Default none.
        fixed: Options that this name stands for, by their paths, such as the kind of DynInt. Default none.
        search_space: Options of the model to search, by their paths. Default none.
    """

    name: str
    function: Callable[..., Any]
    title: str
    paper: str
    equation: str
    optimizer: str = "row_wise_adagrad"
    optimizer_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    search_space: SearchSpace = dataclasses.field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Any]:
        """The options that may be given to the model, by their paths such as `"embedding.dim"`, with their defaults."""
        return {
            path: option.default
            for path, option in option_paths(self.function).items()
            if path not in ("features", "name", *self.fixed)
        }

    def path_of(self, option: str) -> str | None:
        """Returns the path of an option in any part; `None` if the model has no option of this name.

        Use it for options that jobs set or searches leave out, such as `"initial_scale"` of the embeddings.

        Args:
            option: The last word of the path.
        """
        return next((path for path in self.defaults if path.rpartition(".")[2] == option), None)

    @property
    def cost(self) -> str:
        """The cost of the model from the docstring of its function; empty if the docstring has none."""
        paragraphs = (inspect.getdoc(self.function) or "").split("\n\n")
        costs = [paragraph for paragraph in paragraphs if paragraph.startswith("Cost: ")]
        return " ".join(costs[0].removeprefix("Cost: ").split()) if costs else ""

    def arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of the function for options of the model.

        Args:
            options: Options by path (`{"embedding.dim": 8}`), or parts by name (`{"embedding": Embedding(8)}`).

        Raises:
            ValueError: An option that the model does not have, or one of a wrong type or out of range.
        """
        check_options(f"model {self.name!r}", self.function, options, self.defaults)
        return with_parts(self.function, {**options, **self.fixed})

    def build(self, features: EncodedFeatures, **options: Any) -> Any:
        """Builds the model.

        Args:
            features: The description that the encoder gives.
            **options: As `arguments`.

        Raises:
            ValueError: As `arguments`, or a value that its function refuses.
        """
        return self.function(features, **self.arguments(options), name=self.name)
