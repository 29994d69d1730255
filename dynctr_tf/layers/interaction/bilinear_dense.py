"""The bilinear interaction of FiBiNET together with the dense layer after it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import add_bias
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.interaction.bilinear_products import (
    BILINEAR_KINDS,
    add_matrices,
    bilinear_blocks,
    matrices_of_left_fields,
    number_of_matrices,
)
from dynctr_tf.layers.interaction.field_map import field_map_sizes, number_of_pairs
from dynctr_tf.nearest import unknown_name_message

# Columns of products that are made at once: wide enough for a fast matrix product.
_LEAST_COLUMNS = 2048


@stack.serializable
class BilinearDense(stack.Layer):
    """A dense layer on all bilinear products of pairs of fields, which never holds all of them.

    Use it in place of `BilinearInteraction`, flattening and a dense layer, as in FiBiNET: 39 fields of 16 have
    741 pairs, which are 11 856 numbers per row. Several of these, on different field maps, add up to the dense
    layer on all of their products joined.

    `output = b + sum_(i<j) ((x_i W) * x_j) M_ij`. The products of some left fields i at a time are made,
    multiplied by their rows of M and dropped; the backward pass makes them again, which costs little beside
    the product with M.

    Args:
        units: Width of the output.
        kind: Which pairs share W: `"all"`, those of `"each"` left field i, or none (`"interaction"`).
            Default `"interaction"`.
        activation: The activation, a Keras activation. Default `None`.
        use_bias: Whether there is a bias b. Default `True`.
        kernel_initializer: Start of each W and of M, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W and M. Default `None`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, units)`.

    Raises:
        ValueError: An unknown kind, fewer than one unit or two fields, another rank or unknown sizes.

    Cost: with P pairs `P * dim * units` parameters and multiply-adds per row beside those of
    `BilinearInteraction`.

    Example:

    >>> import tensorflow as tf
    >>> BilinearDense(4, kind="each")(tf.ones((2, 5, 3))).shape
    TensorShape([2, 4])

    Reference:
        Huang et al., FiBiNET, RecSys 2019, arXiv 1905.09433, equations 6 to 8 and the first layer of 10. Making
        the products twice is this library's.
    """

    def __init__(
        self,
        units: int,
        kind: str = "interaction",
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be at least 1, got {units}.")
        if kind not in BILINEAR_KINDS:
            raise ValueError(unknown_name_message("kind of bilinear product", str(kind), BILINEAR_KINDS))
        self.units = int(units)
        self.kind = kind
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        fields, dim = field_map_sizes(self.name, input_shape, least_fields=2)
        self.bilinear_kernel = add_matrices(self, self.kind, fields, dim, name="bilinear_kernel")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(number_of_pairs(fields) * dim, self.units),
            initializer=distinct_initializer(self.kernel_initializer, number_of_matrices(self.kind, fields)),
            regularizer=self.kernel_regularizer,
            trainable=True,
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros", trainable=True)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        _, fields, dim = inputs.shape
        matrices = matrices_of_left_fields(tf.cast(self.bilinear_kernel, inputs.dtype), self.kind, fields, dim)
        chunks = _chunks([(fields - 1 - left) * dim for left in range(fields - 1)])
        rows = tf.split(tf.cast(self.kernel, inputs.dtype), [columns for _, _, columns in chunks], axis=0)
        parts = []
        for (first, end, _), kernel in zip(chunks, rows, strict=True):
            # The pairs of the left fields from `first` on need no field before it.
            parts.append(_dense_on_products(inputs[:, first:], kernel, *matrices[first:end]))
        output = tf.add_n(parts)
        if self.use_bias:
            output = add_bias(output, self.bias)
        return self.activation(output)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "kind": self.kind,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def _chunks(widths: list[int]) -> list[tuple[int, int, int]]:
    """Cuts the left fields into runs with enough columns: first, end and the number of columns of each."""
    chunks, first, columns = [], 0, 0
    for left, width in enumerate(widths):
        columns += width
        if columns >= _LEAST_COLUMNS or left == len(widths) - 1:
            chunks.append((first, left + 1, columns))
            first, columns = left + 1, 0
    return chunks


# A registered gradient, made once, in place of `tf.custom_gradient`, which registers one more in each graph that is
# traced and so keeps the graph, and the model's tables with it, for as long as the process lives.
_GRADIENT = "DynctrDenseOnProducts"


def _dense_on_products(field_map: tf.Tensor, kernel: tf.Tensor, *matrices: tf.Tensor) -> tf.Tensor:
    """Multiplies the bilinear products of the first `len(matrices)` left fields by their rows of the kernel."""
    products = tf.concat(bilinear_blocks(field_map, list(matrices)), axis=1)
    output = tf.matmul(products, kernel)
    if tf.executing_eagerly():
        return output
    with output.graph.gradient_override_map({"IdentityN": _GRADIENT}):
        return tf.identity_n([output, field_map, kernel, *matrices])[0]


@tf.RegisterGradient(_GRADIENT)
def _dense_on_products_gradient(operation: tf.Operation | None, upstream: tf.Tensor, *_: Any) -> list[tf.Tensor | None]:
    """Makes the products again for their gradient, which the graph therefore does not keep."""
    if operation is None:
        # TensorFlow writes the gradients of a model that is saved, and asks for them without the operation that they
        # are of. A saved model is not trained; an attempt gets the error below.
        with tf.control_dependencies([tf.debugging.Assert(False, ["The gradient of BilinearDense is not saved."])]):
            return [tf.identity(tensor) for tensor in (upstream, *_)]
    _, field_map, kernel, *matrices = operation.inputs
    # Only after the gradient is there; otherwise the graph would keep the products.
    with tf.control_dependencies([upstream]), tf.GradientTape() as tape:
        sources = [tf.identity(source) for source in (field_map, *matrices)]
        tape.watch(sources)
        products = tf.concat(bilinear_blocks(sources[0], sources[1:]), axis=1)
    to_products = tf.matmul(upstream, kernel, transpose_b=True)
    to_map, *to_matrices = tape.gradient(products, sources, to_products)
    return [None, to_map, tf.matmul(products, upstream, transpose_a=True), *to_matrices]
