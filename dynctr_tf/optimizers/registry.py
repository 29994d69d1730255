"""The optimizers by name, for settings, jobs, searches and notebooks. No other file makes an optimizer from a name."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.models.catalogue import model_entry
from dynctr_tf.models.entry import LogUniform, SearchSpace
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.optimizers.adam import Adam
from dynctr_tf.optimizers.composite_optimizer import CompositeOptimizer
from dynctr_tf.optimizers.dynint_optimizer import dynint_optimizer
from dynctr_tf.optimizers.lazy_adam import LazyAdam
from dynctr_tf.optimizers.rate_schedule import RateSchedule
from dynctr_tf.optimizers.row_wise_optimizer import row_wise_optimizer
from dynctr_tf.optimizers.sparse_adagrad import SparseAdagrad
from dynctr_tf.options import keyword_options


@dataclasses.dataclass(frozen=True)
class OptimizerEntry:
    """What the registry knows of an optimizer.

    Args:
        name: Its name in settings.
        make: What makes it from its options.
        description: What it is, in some words.
        search_space: Options to search, and from what. Default none.
        has_row_penalty: Whether it penalises the rows of tables itself, so that the model should not. Default `False`.
        slots: How many numbers it keeps for each weight of a table. Models that do not fit into memory are refused by
            it. Default 2.
        foreign: Whether it is Keras' or tensorflow-addons' own. Default `False`.
    """

    name: str
    make: Callable[..., Any]
    description: str
    search_space: SearchSpace = dataclasses.field(default_factory=dict)
    has_row_penalty: bool = False
    slots: int = 2
    foreign: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options that may be given to it."""
        # Of a class that passes arguments on, also those of the classes above it.
        return tuple(name for name in keyword_options(self.make) if name not in ("self", "batch_size", "name"))


_ADAM_SPACE: SearchSpace = MappingProxyType({"learning_rate": LogUniform(1e-4, 1e-3)})

OPTIMIZERS: Mapping[str, OptimizerEntry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            OptimizerEntry(
                "row_wise_adagrad",
                row_wise_optimizer,
                "row-wise Adagrad on embeddings, Adam on the rest",
                MappingProxyType(
                    {"learning_rate": LogUniform(5e-3, 5e-2), "dense_learning_rate": LogUniform(3e-4, 3e-3)}
                ),
                slots=0,  # but one for each row
            ),
            OptimizerEntry(
                "group_ftrl",
                dynint_optimizer,
                "G-FTRL on embeddings, FTRL on the rest",
                # Penalties under a loss that is summed over the batch.
                MappingProxyType(
                    {
                        "learning_rate": LogUniform(1e-2, 1e-1),
                        "l2": LogUniform(1e-2, 1e1),
                        "l21": LogUniform(1e-2, 1e1),
                        "dense_learning_rate": LogUniform(1e-2, 1e-1),
                        "dense_l1": LogUniform(1e-3, 1e0),
                        "dense_l2": LogUniform(1e-3, 1e0),
                    }
                ),
                has_row_penalty=True,
            ),
            # The range that the papers search on tens of millions of rows. Smaller data, with fewer steps, wants larger
            # rates; the settings files of such data give them.
            OptimizerEntry("lazy_adam", LazyAdam, "Adam on the rows of the batch", _ADAM_SPACE),
            OptimizerEntry("adam", Adam, "Adam on all rows in each step", _ADAM_SPACE),
            OptimizerEntry(
                "sparse_adagrad",
                SparseAdagrad,
                "Adagrad, one accumulator per weight",
                MappingProxyType({"learning_rate": LogUniform(1e-3, 1e-1)}),
                slots=1,
            ),
        )
    }
)
"""The library's own optimizers, by name."""

# The optimizers themselves say what to use instead of these.
_REFUSED_WITH_ADVICE = ("weight_decay", "use_ema", "gradient_accumulation_steps", "loss_scale_factor")
# Those of others that read and write the rows of the batch alone.
_OF_THE_BATCH = ("addons.lazyadam",)
_FOREIGN_SPACE: SearchSpace = MappingProxyType({"learning_rate": LogUniform(1e-4, 1e-2)})


def _foreign_classes(room: str) -> dict[str, Any]:
    """The optimizers of Keras or of tensorflow-addons by the lower-case names of their classes."""
    if room == "keras":
        module = keras.optimizers
    elif room == "addons" and not stack.KERAS_3 and importlib.util.find_spec("tensorflow_addons"):
        module = importlib.import_module("tensorflow_addons.optimizers")
    else:
        return {}
    outside = ("optimizer", "lossscaleoptimizer")
    found = {name.lower(): value for name, value in vars(module).items() if inspect.isclass(value)}
    return {
        name: value
        for name, value in found.items()
        if name not in outside and any(base.__name__ in ("Optimizer", "OptimizerV2") for base in value.__mro__[1:])
    }


def optimizer_names() -> tuple[str, ...]:
    """Returns the names that `optimizer_entry` takes on this stack.

    Example:

    >>> [name for name in optimizer_names() if not "." in name]
    ['row_wise_adagrad', 'group_ftrl', 'lazy_adam', 'adam', 'sparse_adagrad']
    """
    foreign = [f"{room}.{name}" for room in ("keras", "addons") for name in _foreign_classes(room)]
    return (*OPTIMIZERS, *foreign)


def optimizer_entry(name: str) -> OptimizerEntry:
    """Returns what the registry knows of an optimizer.

    Args:
        name: One of the library's names, or `keras.` or `addons.` with the lower-case name of a class of Keras or, on
            its stack, of tensorflow-addons, such as `keras.adamw`. `tfa:LazyAdam` stands for `addons.lazyadam`.

    Raises:
        ValueError: There is no optimizer of this name; the message names the nearest, and says so where it is one of
            tensorflow-addons, which this stack does not have.

    Example:

    >>> optimizer_entry("group_ftrl").description
    'G-FTRL on embeddings, FTRL on the rest'
    """
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    written = str(name)
    if written.lower().startswith("tfa:"):
        written = f"addons.{written[len('tfa:') :]}"
    room, _, short = written.partition(".")
    classes = _foreign_classes(room) if short else {}
    if room == "addons" and not classes:
        raise ValueError(
            f"The optimizer {name!r} is of tensorflow-addons, which runs on TensorFlow 2.15 alone. Take one that this "
            f"stack has: {', '.join(OPTIMIZERS)}, or one of Keras, such as keras.adamw."
        )
    found = classes.get(short.lower())
    if found is None:
        raise ValueError(unknown_name_message("optimizer", written, optimizer_names()))
    return OptimizerEntry(
        f"{room}.{short.lower()}", found, f"{found.__name__} of {room}", search_space=_FOREIGN_SPACE, foreign=True
    )


def optimizer_of(model: str, optimizer: str = "default") -> OptimizerEntry:
    """Returns the optimizer that a model of the catalogue is trained with.

    Args:
        model: The model's name in the catalogue.
        optimizer: As in `optimizer_entry`, or `"default"`: the model's own. Default `"default"`.

    Raises:
        ValueError: An unknown model or optimizer, with the nearest known one.

    Example:

    >>> optimizer_of("dnn").name, optimizer_of("dnn", "group_ftrl").name
    ('row_wise_adagrad', 'group_ftrl')
    """
    return optimizer_entry(model_entry(model).optimizer if optimizer == "default" else optimizer)


def suited_optimizer_options(model: str, optimizer: str = "default") -> dict[str, Any]:
    """Returns the options of a model's own optimizer that suit the model better than the optimizer's defaults.

    Use it where they are not given: jobs and searches take these for what their settings leave open.

    Args:
        model: As in `optimizer_of`.
        optimizer: As in `optimizer_of`; another optimizer than the model's own has its defaults. Default `"default"`.

    Returns:
        Options of the optimizer.

    Raises:
        ValueError: As `optimizer_of`.

    Example:

    >>> suited_optimizer_options("fm"), suited_optimizer_options("fm", "lazy_adam"), suited_optimizer_options("dnn")
    ({'first_order_factor': 0.5}, {}, {})
    """
    entry = model_entry(model)
    return dict(entry.optimizer_options) if optimizer_of(model, optimizer).name == entry.optimizer else {}


def make_optimizer(
    name: str, options: Mapping[str, Any] | None = None, *, batch_size: int | None, schedule: RateSchedule | None = None
) -> Any:
    """Makes an optimizer by its name.

    Optimizers of Keras and of tensorflow-addons come inside a `CompositeOptimizer`. It sums the gradients of ids that
    repeat, because not all of them do so. A warning says that they read and write whole tables, which all but
    `addons.lazyadam` do.

    Args:
        name: As in `optimizer_entry`.
        options: Its options. Default `None`: none.
        batch_size: Rows of a global batch, by which G-FTRL measures its penalties; `None` for the others.
        schedule: The factor of the learning rates, step by step. Default `None`: nothing.

    Raises:
        ValueError: An unknown name or option, with the nearest known one, or a value that is refused.

    Example:

    >>> optimizer = make_optimizer("row_wise_adagrad", {"learning_rate": 0.01}, batch_size=1024)
    >>> [member.name for member in optimizer.members()]
    ['row_wise_adagrad', 'adam']
    """
    options = dict(options or {})
    entry = optimizer_entry(name)
    for option in options:
        if option not in (*entry.options, *_REFUSED_WITH_ADVICE):
            raise ValueError(unknown_name_message(f"option of the optimizer {entry.name!r}", option, entry.options))
    if "batch_size" in inspect.signature(entry.make).parameters:
        if batch_size is None:
            raise ValueError(f"The penalties of {entry.name} are measured by the batch size: give training.batch_size.")
        options["batch_size"] = batch_size
    try:
        optimizer = entry.make(**options)
    except TypeError as error:
        raise ValueError(f"Options of the optimizer {entry.name!r}: {error}.") from error
    if entry.foreign:
        if entry.name not in _OF_THE_BATCH:
            warnings.warn(
                f"{entry.name} reads and writes the whole embedding table, and its state, in each step; "
                "row_wise_adagrad, lazy_adam and group_ftrl touch the rows of the batch alone.",
                stacklevel=2,
            )
        optimizer = CompositeOptimizer([(".*", optimizer)])
    if schedule is None:
        return optimizer
    if isinstance(optimizer, CompositeOptimizer):
        config = optimizer.get_config()
        pairs = [
            (pattern, member) for (pattern, _), member in zip(config["optimizers"], optimizer.members(), strict=True)
        ]
        return CompositeOptimizer(pairs, learning_rate=schedule, name=optimizer.name)
    default = inspect.signature(entry.make).parameters["learning_rate"].default
    rate = options.get("learning_rate", default)
    if not isinstance(rate, (int, float)) or isinstance(rate, bool):
        raise ValueError(f"A schedule multiplies a learning_rate that is a number, got {rate!r}.")
    options["learning_rate"] = RateSchedule(**{**schedule.get_config(), "peak": schedule.peak * rate})
    return entry.make(**options)


def describe_optimizers() -> str:
    """Describes all optimizers of this stack for a person: name, what it is, options.

    Example:

    >>> print(describe_optimizers().splitlines()[0])
    row_wise_adagrad: row-wise Adagrad on embeddings, Adam on the rest
    """
    lines = []
    for name in optimizer_names():
        entry = optimizer_entry(name)
        lines.append(f"{name}: {entry.description}")
        if not entry.foreign:
            lines.append("  options: " + ", ".join(entry.options))
    return "\n".join(lines)
