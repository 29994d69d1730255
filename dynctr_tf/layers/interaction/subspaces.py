"""What splitting embeddings into pieces and merging them share."""

from __future__ import annotations

from typing import Any

from dynctr_tf import stack


class Subspaces(stack.Layer):
    """The arguments of splitting and merging, which undo each other."""

    def __init__(self, num_subspaces: int = 1, fields_last: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_subspaces < 1:
            raise ValueError(f"num_subspaces must be at least 1, got {num_subspaces}.")
        self.num_subspaces = int(num_subspaces)
        self.fields_last = fields_last

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)
        self.built = True

    def check(self, input_shape: Any, divided: int, what: str) -> None:
        if len(input_shape) != 3 or None in tuple(input_shape)[1:]:
            raise ValueError(
                f"{self.name} takes shape (batch, fields, dim) with known sizes, got {tuple(input_shape)}."
            )
        if input_shape[divided] % self.num_subspaces:
            raise ValueError(
                f"{self.name} cannot share {input_shape[divided]} {what} among {self.num_subspaces} sub-spaces; "
                f"num_subspaces must divide it."
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_subspaces": self.num_subspaces,
            "fields_last": self.fields_last,
        }
