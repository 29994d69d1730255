"""What a job is, without a command line: its settings, its stages and the records that it keeps.

The settings need no TensorFlow, so only they are imported here; the stages are in `dynctr_tf.jobs.preparing` and
`dynctr_tf.jobs.stages`.
"""

from dynctr_tf.jobs.settings import (
    DataSettings,
    EvaluationSettings,
    ExportSettings,
    JobSettings,
    ModelSettings,
    OptimizerSettings,
    SearchSettings,
    TrainingSettings,
    job_settings,
)
from dynctr_tf.jobs.settings_file import parse_value, read_file, to_toml, write_settings

__all__ = [
    "DataSettings",
    "EvaluationSettings",
    "ExportSettings",
    "JobSettings",
    "ModelSettings",
    "OptimizerSettings",
    "SearchSettings",
    "TrainingSettings",
    "job_settings",
    "parse_value",
    "read_file",
    "to_toml",
    "write_settings",
]
