"""Layers over sequences of behaviours."""

from dynctr_tf.layers.sequence.attention_decoder import AttentionDecoder
from dynctr_tf.layers.sequence.attention_gru import AttentionGRU
from dynctr_tf.layers.sequence.dice import Dice
from dynctr_tf.layers.sequence.kalman_filtering_attention import KalmanFilteringAttention
from dynctr_tf.layers.sequence.next_behaviour_loss import NextBehaviourLoss
from dynctr_tf.layers.sequence.self_attention_encoder import SelfAttentionEncoder
from dynctr_tf.layers.sequence.sequence_context import SequenceContext
from dynctr_tf.layers.sequence.target_attention import TargetAttention

__all__ = [
    "AttentionDecoder",
    "AttentionGRU",
    "Dice",
    "KalmanFilteringAttention",
    "NextBehaviourLoss",
    "SelfAttentionEncoder",
    "SequenceContext",
    "TargetAttention",
]
