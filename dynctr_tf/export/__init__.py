"""SavedModels that serve raw features."""

from dynctr_tf.export.constant_weights import with_constant_weights
from dynctr_tf.export.folding import fold
from dynctr_tf.export.freeze_keys import freeze_keys
from dynctr_tf.export.places import check_export_directory
from dynctr_tf.export.publication import PublicationTest, publication_test, publish, roll_back
from dynctr_tf.export.raw_requests import example_features, raw_signature, raw_tensors, serialized_examples
from dynctr_tf.export.saved_model import ParityError, export_model, serving_line
from dynctr_tf.export.scenario_tables import with_scenario_tables
from dynctr_tf.export.served_model import ServedModel
from dynctr_tf.export.smaller_tables import TableStorage
from dynctr_tf.export.versions import new_version, newest_version, next_version, version_folder

__all__ = [
    "ParityError",
    "PublicationTest",
    "ServedModel",
    "TableStorage",
    "check_export_directory",
    "example_features",
    "export_model",
    "fold",
    "freeze_keys",
    "new_version",
    "newest_version",
    "next_version",
    "publication_test",
    "publish",
    "raw_signature",
    "raw_tensors",
    "roll_back",
    "serialized_examples",
    "serving_line",
    "version_folder",
    "with_constant_weights",
    "with_scenario_tables",
]
