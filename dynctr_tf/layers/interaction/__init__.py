"""Static interaction layers."""

from dynctr_tf.layers.interaction.anova_kernel import AnovaKernel
from dynctr_tf.layers.interaction.attentional_pooling import AttentionalPooling
from dynctr_tf.layers.interaction.bi_interaction import BiInteraction
from dynctr_tf.layers.interaction.bilinear_dense import BilinearDense
from dynctr_tf.layers.interaction.bilinear_interaction import BilinearInteraction
from dynctr_tf.layers.interaction.compressed_interaction import CompressedInteraction
from dynctr_tf.layers.interaction.cross_layer import CrossLayer
from dynctr_tf.layers.interaction.cross_mixture_layer import CrossMixtureLayer
from dynctr_tf.layers.interaction.embedding_gate import EmbeddingGate
from dynctr_tf.layers.interaction.factorization_machine import FactorizationMachine
from dynctr_tf.layers.interaction.field_attention import FieldAttention
from dynctr_tf.layers.interaction.field_sum_output import FieldSumOutput
from dynctr_tf.layers.interaction.inner_product import InnerProduct
from dynctr_tf.layers.interaction.logarithmic_transformation import LogarithmicTransformation
from dynctr_tf.layers.interaction.merge_subspaces import MergeSubspaces
from dynctr_tf.layers.interaction.outer_product import OuterProduct
from dynctr_tf.layers.interaction.polynomial_interaction import PolynomialInteraction
from dynctr_tf.layers.interaction.split_embedding import SplitEmbedding
from dynctr_tf.layers.interaction.split_subspaces import SplitSubspaces
from dynctr_tf.layers.interaction.squeeze_excitation import SqueezeExcitation
from dynctr_tf.layers.interaction.vector_cross_network import VectorCrossNetwork

__all__ = [
    "AnovaKernel",
    "AttentionalPooling",
    "BiInteraction",
    "BilinearDense",
    "BilinearInteraction",
    "CompressedInteraction",
    "CrossLayer",
    "CrossMixtureLayer",
    "EmbeddingGate",
    "FactorizationMachine",
    "FieldAttention",
    "FieldSumOutput",
    "InnerProduct",
    "LogarithmicTransformation",
    "MergeSubspaces",
    "OuterProduct",
    "PolynomialInteraction",
    "SplitEmbedding",
    "SplitSubspaces",
    "SqueezeExcitation",
    "VectorCrossNetwork",
]
