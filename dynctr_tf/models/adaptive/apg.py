"""APG: published models whose dense layers are adapted to each instance."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.adaptive.make_adaptive import make_adaptive
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Adaptive, Condition
from dynctr_tf.models.search_spaces import ADAPTIVE
from dynctr_tf.models.static.autoint import autoint
from dynctr_tf.models.static.dcn import dcn
from dynctr_tf.models.static.dcn_v2 import dcn_v2
from dynctr_tf.models.static.deepfm import deepfm
from dynctr_tf.models.static.dnn import dnn
from dynctr_tf.models.static.fibinet import fibinet
from dynctr_tf.models.static.pnn import pnn
from dynctr_tf.models.static.wide_deep import wide_deep
from dynctr_tf.nearest import unknown_name_message

APG_BASES: Mapping[str, Callable[..., keras.Model]] = MappingProxyType(
    {model.__name__: model for model in (wide_deep, pnn, fibinet, deepfm, dcn, dcn_v2, autoint, dnn)}
)
"""The models that `apg` makes adaptive, by name."""


def apg(
    features: EncodedFeatures,
    *,
    base: str = "deepfm",
    condition: Condition = Condition(),
    adaptive: Adaptive = Adaptive(),
    name: str = "apg",
    **base_options: Any,
) -> keras.Model:
    """A published model whose dense layers are adapted to each instance (APG).

    Use it to compare a model with its adaptive form; `make_adaptive` does the same to a model of your own.

    The model `base` with `y = activation(U S(z) V x + b)` in place of `y = activation(W x + b)`.

    Args:
        features: The description that the encoder gives.
        base: `"wide_deep"`, `"pnn"`, `"fibinet"`, `"deepfm"`, `"dcn"`, `"dcn_v2"`, `"autoint"` or `"dnn"`.
            Default `"deepfm"`.
        condition: What z is. Default `Condition()`.
        adaptive: How the layers are made. Default `Adaptive()`.
        name: The model's name. Default `"apg"`.
        **base_options: Options of the base model, such as `deep`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown base, option, condition or field, fields that do not suit the condition, or a base
            without hidden layers to adapt.

    Cost: that of the base model, with `AdaptiveDense` in place of its dense layers.

    Example:

    >>> from dynctr_tf.models.parts import Deep, Embedding
    >>> features = EncodedFeatures.from_sizes([10, 20])
    >>> apg(features, base="dnn", embedding=Embedding(4), deep=Deep((8,)), adaptive=Adaptive(2)).output_shape
    (None, 1)

    Reference:
        Yan et al., APG, arXiv 2203.16218, sections 3 and 4. The layers of the perceptron are adapted; the layer to the
        logit, cross layers, attention and products stay static. So does the first dense layer of FiBiNET, which the
        model applies without making the products.
    """
    if base not in APG_BASES:
        raise ValueError(unknown_name_message("base of apg", str(base), APG_BASES))
    known = _own_options(APG_BASES[base])
    for option in base_options:
        if option not in known:
            raise ValueError(unknown_name_message(f"option of model {base!r}", option, known))
    deep = base_options.get("deep", known["deep"].default)
    if len(deep.units) < (2 if base == "fibinet" else 1):
        raise ValueError(
            f"apg adapts the dense layers of {base!r}"
            + (" after its first" if base == "fibinet" else "")
            + f", and deep={deep!r} leaves none; give more hidden layers."
        )
    model = APG_BASES[base](features, **base_options)
    return make_adaptive(model, select="mlp", name=name, **condition.of_model(features, model), **adaptive.options())


def apg_of(base: str) -> Callable[..., keras.Model]:
    """Returns `apg` of one base model as a function whose signature has the options of both.

    Use it where options are looked up in the signature, as the catalogue does.

    Args:
        base: Name of the base model.

    Example:

    >>> import inspect
    >>> {"adaptive", "num_layers", "structure"} <= set(inspect.signature(apg_of("dcn_v2")).parameters)
    True
    """

    def build(features: EncodedFeatures, **options: Any) -> keras.Model:
        return apg(features, base=base, **options)

    own = inspect.signature(apg).parameters
    parameters = [
        parameter
        for key, parameter in own.items()
        if key not in ("base", "name") and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*parameters, *_own_options(APG_BASES[base]).values(), own["name"]],
        return_annotation=inspect.signature(apg).return_annotation,
    )
    build.__doc__ = apg.__doc__
    build.__name__ = f"apg_{base}"
    return build


def _own_options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return {
        key: parameter
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and key not in inspect.signature(apg).parameters
    }


def _entry_of(base: str) -> ModelEntry:
    """The entry of a base model that has dense layers: `dcn`, not `crossnet`."""
    function = APG_BASES[base]
    entries = importlib.import_module(function.__module__).ENTRIES
    return next(entry for entry in entries if not entry.fixed)


ENTRIES = tuple(
    ModelEntry(
        f"apg_{base}",
        apg_of(base),
        title="APG: Adaptive Parameter Generation Network for Click-Through Rate Prediction",
        paper=f"arXiv 2203.16218, on {base}",
        equation="3 to 7",
        search_space=MappingProxyType(
            {
                **_entry_of(base).search_space,
                **ADAPTIVE,
                # FiBiNET's first dense layer stays static, so there must be a second one.
                **({"deep.units": Choice(((256, 256), (400, 400), (400, 400, 400)))} if base == "fibinet" else {}),
            }
        ),
    )
    for base in APG_BASES
)
