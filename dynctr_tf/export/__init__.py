"""SavedModels that serve raw features."""

from dynctr_tf.export.constant_weights import with_constant_weights
from dynctr_tf.export.folding import fold
from dynctr_tf.export.places import check_export_directory
from dynctr_tf.export.raw_requests import example_features, raw_signature, raw_tensors, serialized_examples
from dynctr_tf.export.saved_model import ParityError, export_model, next_version, serving_line
from dynctr_tf.export.scenario_tables import with_scenario_tables

__all__ = [
    "ParityError",
    "check_export_directory",
    "example_features",
    "export_model",
    "fold",
    "next_version",
    "raw_signature",
    "raw_tensors",
    "serialized_examples",
    "serving_line",
    "with_constant_weights",
    "with_scenario_tables",
]
