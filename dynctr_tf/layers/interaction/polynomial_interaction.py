"""The layer of xDeepInt's polynomial interaction network."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.interaction.field_crossing import FieldCrossing, mix_fields


@stack.serializable
class PolynomialInteraction(FieldCrossing):
    """One layer of the polynomial interaction network (PIN): raises the degree of interaction by one.

    Use it in a chain: layer l gets the pair of the output of layer l - 1 and of the first field map; L layers
    model interactions up to degree L + 1. After `SplitSubspaces` it crosses sub-spaces, up to single bits.

    `X_l = X_(l-1) * (W X_0) + X_(l-1)`, with the product taken entry by entry and W mixing fields.

    Args:
        residual: Whether X_(l-1) is added. Without it, the paper's code joins the outputs of all layers along
            the field axis in front of the output. Default `True`.
        activation: Applied to `W X_0`. The paper finds the linear one best. Default `None`.
        dropout: Share of the entries of X_0 dropped in training before W. Default 0.0.
        fields_last: Whether the tensors are `(batch, dim, fields)`, in which mixing is one plain matrix
            product, in place of field maps `(batch, fields, dim)`. Default `False`.
        kernel_initializer: Start of W, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W. Default `None`.

    Call arguments:
        inputs: The pair `[X_(l-1), X_0]`, or `X_0` alone in the first layer.
        training: Whether dropout drops. Default `None`: Keras decides.

    Input shape:
        `(batch, fields, dim)`, once or twice; `(batch, dim, fields)` with `fields_last`.

    Output shape:
        That of one input.

    Raises:
        ValueError: Inputs that are not field maps, or two of different shapes.

    Cost: `fields ** 2` parameters; `fields ** 2 * dim` multiply-adds per row. With h sub-spaces fields is hF
    and dim D/h, so `h * F ** 2 * D` multiply-adds.

    Example:

    >>> import tensorflow as tf
    >>> x0 = tf.ones((2, 3, 4))
    >>> x1 = PolynomialInteraction()(x0)
    >>> PolynomialInteraction()([x1, x0]).shape
    TensorShape([2, 3, 4])

    Reference:
        Yan and Li, xDeepInt, arXiv 2301.01089; DynInt, arXiv 2301.08139, equation 3. The kernel kept here is
        the transpose of W, as in the author's code, whose dropout and activation options these are.
    """

    def __init__(
        self,
        residual: bool = True,
        activation: Any = None,
        dropout: float = 0.0,
        fields_last: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            residual=residual,
            dropout=dropout,
            fields_last=fields_last,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            **kwargs,
        )
        self.activation = keras.activations.get(activation)

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        return self.cross(inputs, None, training)

    def mixture(self, x0: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        return self.activation(mix_fields(x0, tf.cast(self.kernel, x0.dtype)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activation": keras.activations.serialize(self.activation),
        }
