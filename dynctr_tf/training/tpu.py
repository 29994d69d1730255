"""What a model and an optimizer need for a TPU."""

from __future__ import annotations

from typing import Any

from dynctr_tf.layers.embedding import FieldEmbedding
from dynctr_tf.optimizers import CompositeOptimizer, SparseOptimizer


def prepare_for_tpu(model: Any, optimizer: Any) -> None:
    """Gives everything that runs on the device static shapes: call it before a model is trained on a TPU.

    XLA compiles whole steps for shapes that it knows beforehand, and has no strings. Strings do not reach it here:
    `dynctr_tf.encoding` turns them into ids on the host, once, before training. Batches are filled up to one size by
    `even_batches`. What remains is the number of distinct ids in a batch: the embedding layers here stop looking for
    them, and the optimizers sum the slices of each id by sorting.

    **The authors have no TPU and have not run it on one**, nor compared it step by step under XLA. If you have a TPU,
    first run a training of 100 steps with a small model and compare its log with that of `--strategy none` at the same
    seed and batch size, such as

        python -m pipelines.train --model.name deepfm --training.epochs 1 --strategy tpu

    A table of more than the memory of one core, its two slots included, does not fit: every core holds a copy.

    Args:
        model: The model, built in the scope of the strategy.
        optimizer: One of this library's.

    Raises:
        ValueError: An optimizer that is not one of this library's, one that clips norms, or a penalty on the
            distinct rows of a batch.
    """
    members = optimizer.members() if isinstance(optimizer, CompositeOptimizer) else [optimizer]
    for member in members:
        if not isinstance(member, SparseOptimizer):
            raise ValueError(
                "On a TPU the ids of a batch are not made distinct before the optimizer, and "
                f"{type(member).__name__} is not right with ids that repeat; take LazyAdam, GroupFtrl or SparseAdagrad."
            )
        limits = [name for name in ("clipnorm", "global_clipnorm") if getattr(member, name) is not None]
        if limits:
            raise ValueError(f"{member.name} has {limits[0]}, which a TPU cannot compute for rows; use clipvalue.")
        member.static_shapes = True
    for layer in model.layers:
        if isinstance(layer, FieldEmbedding):
            if layer.row_regularizer_l2:
                raise ValueError(
                    f"{layer.name} has row_regularizer_l2={layer.row_regularizer_l2}, which counts the distinct rows "
                    "of a batch; a TPU has no number of them. Set it to 0, or use the penalties of GroupFtrl."
                )
            layer.deduplicate = False
