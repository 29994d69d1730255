"""What a search draws for each option of a model."""

from __future__ import annotations

from collections.abc import Mapping

from dynctr_tf.models.entry.choice import Choice
from dynctr_tf.models.entry.log_uniform import LogUniform
from dynctr_tf.models.entry.uniform import Uniform

SearchSpace = Mapping[str, Choice | LogUniform | Uniform]
"""What a search draws for each option of a model."""
