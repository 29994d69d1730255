"""A model of the catalogue as a keras-tuner `HyperModel`, for searches of your own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner
import numpy as np
from tensorflow import keras

from dynctr_tf.encoding.encoded_dataset import EncodedDataset
from dynctr_tf.metrics import auc, log_loss
from dynctr_tf.models.catalogue import SearchSpace, build_model
from dynctr_tf.optimizers.registry import make_optimizer, optimizer_of, suited_optimizer_options
from dynctr_tf.training.fit import model_inputs, predict_logits
from dynctr_tf.training.steps import plan_steps
from dynctr_tf.tuning.search_space import catalogue_space, declare, drawn_values, options_of


class _ExactScores(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the exact AUC and logloss of the validation split to what an epoch reports."""

    def __init__(self, data: EncodedDataset) -> None:
        super().__init__()
        self.data = data

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Scores the whole split in float64."""
        logits = predict_logits(self.model, self.data, "validation")
        if not np.isfinite(logits).all():
            raise FloatingPointError(f"The validation split has logits that are not finite after epoch {epoch + 1}.")
        labels = self.data.column("validation", "label")
        weights = self.data.column("validation", "weight") if self.data.schema.row_weight else None
        if logs is not None:
            logs.update(val_logloss=log_loss(labels, logits, weights), val_auc=auc(labels, logits, weights))


def _is_given(path: str, options: Mapping[str, Any]) -> bool:
    """Whether an option of the model is given, by its path or with its whole part."""
    return path in options or path.partition(".")[0] in options


class HyperModel(keras_tuner.HyperModel):  # type: ignore[misc]
    """A model of the catalogue with its optimizer, as keras-tuner's tuners take it.

    Use it with a tuner and a space of your own. `search`, which `pipelines.tune` calls, also resumes the training
    inside a trial. The objectives are `"val_auc"` (`"max"`) and `"val_logloss"` (`"min"`), exact over the whole
    validation split.

    Args:
        model: The model's name in the catalogue.
        data: The encoded data, with the splits `train` and `validation`.
        space: What to search, under the names `model.NAME`, `optimizer.NAME` and `training.batch_size`.
            Default `None`: `catalogue_space(model)`.
        optimizer: A name of the registry of optimizers, or `"default"`: the model's own. Default `"default"`.
        batch_size: Rows per step, where the space has none. Default `None`: what `plan_steps` chooses for the rows.
        epochs: Passes over the training rows at the most. Default 20.
        patience: Epochs without a better objective after which a trial stops; 0 for never. Default 2.
        monitor: `"val_logloss"` or `"val_auc"`: what patience looks at. Default `"val_logloss"`.
        **options: Options of the model that are the same in all trials, as `build_model` takes them; a part such as
            `embedding=Embedding(8)` gives all of its options.

    Raises:
        ValueError: An unknown model, option, optimizer or monitor.

    Example:

    >>> import keras_tuner
    >>> from dynctr_tf.models.catalogue import Choice
    >>> def tuner(data):
    ...     model = HyperModel("dynint_dgp", data, space={"model.num_layers": Choice((1, 2, 3))})
    ...     return keras_tuner.BayesianOptimization(
    ...         model, keras_tuner.Objective("val_auc", "max"), max_trials=20, directory="search"
    ...     )  # and then tuner(data).search()
    """

    def __init__(
        self,
        model: str,
        data: EncodedDataset,
        *,
        space: SearchSpace | None = None,
        optimizer: str = "default",
        batch_size: int | None = None,
        epochs: int = 20,
        patience: int = 2,
        monitor: str = "val_logloss",
        **options: Any,
    ) -> None:
        super().__init__(name=model)
        if monitor not in ("val_logloss", "val_auc"):
            raise ValueError(f"monitor must be 'val_logloss' or 'val_auc', got {monitor!r}.")
        self.kind = optimizer_of(model, optimizer).name
        self.suited_optimizer_options = suited_optimizer_options(model, optimizer)
        self.model = model
        self.data = data
        whole = catalogue_space(model, optimizer) if space is None else space
        given = {f"model.{path}" for path in options_of("model", whole) if _is_given(path, options)}
        self.space = {name: draw for name, draw in whole.items() if name not in given}
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.monitor = monitor
        self.options = options

    def _batch_size(self, values: Mapping[str, Any]) -> int:
        given = values.get("training.batch_size", self.batch_size)
        return plan_steps(self.data.num_rows("train")).batch_size if given is None else int(given)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Builds and compiles the model with drawn values: what keras-tuner calls.

        Args:
            hp: What the tuner draws.
        """
        declare(hp, self.space)
        values = drawn_values(hp, self.space)
        options = {**self.options, **options_of("model", values)}
        model = build_model(self.model, self.data.features, **options)
        given = {**self.suited_optimizer_options, **options_of("optimizer", values)}
        optimizer = make_optimizer(self.kind, given, batch_size=self._batch_size(values))
        model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
        return model

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *, callbacks: Sequence[Any] = (), verbose: Any = 0
    ) -> Any:
        """Trains the model and scores each epoch: what keras-tuner calls.

        Args:
            hp: What the tuner drew.
            model: What `build` returned.
            callbacks: Further callbacks of `model.fit`. Default none.
            verbose: As in `model.fit`. Default 0.

        Returns:
            The history of `model.fit`, with `"val_auc"` and `"val_logloss"` of each epoch.
        """
        batch_size = self._batch_size(drawn_values(hp, self.space))
        own: list[Any] = [_ExactScores(self.data)]
        if self.patience:
            mode = "max" if self.monitor == "val_auc" else "min"
            own.append(keras.callbacks.EarlyStopping(self.monitor, patience=self.patience, mode=mode))
        batches = self.data.batches("train", batch_size, shuffle=True, epochs=None)
        return model.fit(
            model_inputs(model, batches).prefetch(2),
            steps_per_epoch=math.ceil(self.data.num_rows("train") / batch_size),
            epochs=self.epochs,
            callbacks=[*own, *callbacks],
            shuffle=False,
            verbose=verbose,
        )
