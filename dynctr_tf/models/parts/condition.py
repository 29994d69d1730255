"""The condition of adaptive layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import GroupCondition, MixCondition
from dynctr_tf.models.parts.part import Part
from dynctr_tf.nearest import unknown_name_message

_KINDS = ("self", "group", "mix")


@dataclasses.dataclass(frozen=True, repr=False)
class Condition(Part):
    """The condition of a model's adaptive layers, z in `y = activation(U S(z) V x + b)`.

    Use it as the option `condition` of `apg`.

    Args:
        kind: `"self"`: the layer's own input. `"group"`: a separate embedding of a group's number. `"mix"`: the model's
            embeddings of several fields. Default `"self"`.
        fields: For `"group"` one single-valued field, or none for the group index of the batch, else the scenario
            index; for `"mix"` two or more fields. Default `()`.
        dim: Width of the group's embedding. Default 16.
        mix_kind: How several conditions become one, as `MixCondition`; `"stack"` for a core of each, averaged.
            Default `"concatenate"`.

    Raises:
        ValueError: An unknown kind, or a value of another type or out of range.

    Example:

    >>> Condition("mix", ("user", "item"))
    Condition(kind='mix', fields=('user', 'item'))
    """

    kind: str = "self"
    fields: str | Sequence[str] = ()
    dim: int = 16
    mix_kind: str = "concatenate"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in _KINDS:
            raise ValueError(unknown_name_message("condition", self.kind, _KINDS))

    def of_model(self, features: EncodedFeatures, model: Any) -> dict[str, Any]:
        """Returns the layer of the condition and its inputs, as `make_adaptive` takes them.

        Args:
            features: The description that the encoder gives.
            model: The model that is made adaptive.

        Raises:
            ValueError: Fields that do not suit the condition.
        """
        fields = [self.fields] if isinstance(self.fields, str) else list(self.fields)
        if self.kind == "self":
            if fields:
                raise ValueError(
                    f"A condition of the kind 'self' takes the input of each layer and no fields, got {fields}; use "
                    "'group' or 'mix'."
                )
            return {}
        if self.kind == "mix":
            positions = sorted(set(features.positions(names=fields))) if fields else []
            if len(positions) < 2:
                raise ValueError(
                    f"A condition of the kind 'mix' takes two or more fields, got {fields}; there are "
                    f"{[field.name for field in features.fields]}."
                )
            source = "pooling" if any(layer.name == "pooling" for layer in model.layers) else "embedding"
            return {"condition": MixCondition(self.mix_kind, positions, name="condition"), "condition_of": source}
        if not fields:
            for count, entry in ((features.num_groups, "group"), (features.num_scenarios, "scenario")):
                if count:
                    return {"condition": GroupCondition(count, self.dim, name="condition"), "condition_of": entry}
        single = {field.name: place for place, field in enumerate(features.single_valued)}
        if len(fields) != 1:
            raise ValueError(
                "A condition of the kind 'group' takes one of the fields, unless the data has a group or scenario "
                f"index; got {fields}, and there are {list(single)}."
            )
        if fields[0] not in single:
            raise ValueError(unknown_name_message("single-valued field", fields[0], single))
        field = features.single_valued[single[fields[0]]]
        if field.is_key:
            raise ValueError(
                f"A condition of the kind 'group' has a row for each value of its field, and {field.name!r} has keys "
                "without a vocabulary; take another field, or the kind 'mix'."
            )
        layer = GroupCondition(field.num_ids, self.dim, single[field.name], field.first_id, name="condition")
        return {"condition": layer, "condition_of": "fields"}
