"""The entry of a model in the catalogue, and the forms of its search space."""

from dynctr_tf.models.entry.choice import Choice
from dynctr_tf.models.entry.first_order_alone import FIRST_ORDER_ALONE
from dynctr_tf.models.entry.log_uniform import LogUniform
from dynctr_tf.models.entry.model_entry import ModelEntry
from dynctr_tf.models.entry.search_space import SearchSpace
from dynctr_tf.models.entry.uniform import Uniform

__all__ = ["FIRST_ORDER_ALONE", "Choice", "LogUniform", "ModelEntry", "SearchSpace", "Uniform"]
