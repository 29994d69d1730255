"""MaskNet, serial and parallel."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import MaskBlock
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Embedding, Tower, encoded_inputs, flat, logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING
from dynctr_tf.nearest import unknown_name_message


def masknet(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    structure: str = "serial",
    block_units: Sequence[int] = (400, 400, 400),
    deep: Tower = Tower((400, 400)),
    expansion_ratio: float = 2.0,
    name: str = "masknet",
) -> keras.Model:
    """MaskNet: dense layers whose inputs are multiplied by masks that all embeddings generate.

    Use it as a strong model whose layers multiply, without products of pairs of fields.

    With `V = [e_1; ...; e_F]` and `LN` per field: serial, `h_0 = LN(V)`, `h_l = relu(LN(W_l (mask_l(V) * h_(l-1))))`,
    `logit = w^T h_L + b`; parallel, all blocks on `LN(V)`, `logit = w^T MLP([h_1; ...; h_B]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        structure: `"serial"` or `"parallel"`. Default `"serial"`.
        block_units: Widths of the blocks, one for each. Default `(400, 400, 400)`.
        deep: The dense layers after parallel blocks, possibly none. Default `Tower((400, 400))`.
        expansion_ratio: As `MaskBlock`. Default 2.0.
        name: The model's name. Default `"masknet"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown structure, or no block.

    Cost: with N embedded numbers and blocks of m inputs, `(N + m) * m * expansion_ratio` multiply-adds for each mask.

    Example:

    >>> masknet(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), block_units=(8, 8)).output_shape
    (None, 1)

    Reference:
        Wang et al., MaskNet: Introducing Feature-Wise Multiplication to CTR Ranking Models by Instance-Guided Mask,
        arXiv 2102.07619, equations 3 to 14. All fields share the scale and shift of their norm.
    """
    if structure not in ("serial", "parallel"):
        raise ValueError(unknown_name_message("structure of masknet", str(structure), ("serial", "parallel")))
    if not block_units:
        raise ValueError("block_units must name the width of at least one block, got none.")
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    embeddings = flat(field_map)
    normalised = keras.layers.LayerNormalization(epsilon=1e-6, name="field_norm")(field_map)
    x = first = flat(normalised, "flatten_norm")
    blocks = []
    for index, units in enumerate(block_units, start=1):
        regularizer = deep.kernel_regularizer()
        block = MaskBlock(units, expansion_ratio, deep.dropout, kernel_regularizer=regularizer, name=f"block_{index}")
        x = block(x if structure == "serial" else first, embeddings)
        blocks.append(x)
    if structure == "parallel":
        x = keras.layers.Concatenate(name="blocks")(blocks) if len(blocks) > 1 else blocks[0]
        x = deep.mlp(x, deep.units, "mlp")
    return keras.Model(inputs, logit(x), name=name)


ENTRIES = tuple(
    ModelEntry(
        f"masknet_{structure}",
        masknet,
        title="MaskNet: Introducing Feature-Wise Multiplication to CTR Ranking Models by Instance-Guided Mask",
        paper="arXiv 2102.07619",
        equation="3-14",
        fixed=MappingProxyType({"structure": structure}),
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                "block_units": DENSE["deep.units"],
                "expansion_ratio": Choice((1.0, 2.0, 3.0)),
                "deep.dropout": DENSE["deep.dropout"],
                "deep.kernel_regularizer_l2": DENSE["deep.kernel_regularizer_l2"],
            }
        ),
    )
    for structure in ("serial", "parallel")
)
