"""What models are composed of: options that belong together, each with what it builds."""

from dynctr_tf.models.parts.embedding import Embedding
from dynctr_tf.models.parts.inputs import encoded_inputs

__all__ = ["Embedding", "encoded_inputs"]
