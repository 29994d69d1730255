"""Reports and pictures of what models reach."""

from __future__ import annotations

from dynctr_tf.evaluation.calibration_slices import CalibrationSlice, CalibrationSlices, calibration_slices
from dynctr_tf.evaluation.comparison import ComparedModel, ComparedPairs, Comparison, ModelPair, compare
from dynctr_tf.evaluation.days import days_text, plot_days
from dynctr_tf.evaluation.dynamic_report import Column, DynamicReport, explain_dynamic_part
from dynctr_tf.evaluation.explain_plots import plot_dynamic_part, plot_importance
from dynctr_tf.evaluation.generated_weights import GeneratedWeights, generated_weights
from dynctr_tf.evaluation.importance import FieldImportance, Importance, permutation_importance
from dynctr_tf.evaluation.plots import LearningCurve, plot_comparison, plot_run
from dynctr_tf.evaluation.report import Attainable, Evaluation, evaluate
from dynctr_tf.evaluation.scenario_plots import plot_scenarios, plot_transfer
from dynctr_tf.evaluation.scenario_report import Scenario, ScenarioReport, ScenarioScore, scenario_report
from dynctr_tf.evaluation.slice_plots import plot_slices
from dynctr_tf.evaluation.sparsity import SparsityReport, ZeroShare, removed_message, sparsity_report

__all__ = [
    "Attainable",
    "CalibrationSlice",
    "CalibrationSlices",
    "Column",
    "ComparedModel",
    "ComparedPairs",
    "Comparison",
    "DynamicReport",
    "Evaluation",
    "FieldImportance",
    "GeneratedWeights",
    "Importance",
    "LearningCurve",
    "ModelPair",
    "Scenario",
    "ScenarioReport",
    "ScenarioScore",
    "SparsityReport",
    "ZeroShare",
    "calibration_slices",
    "compare",
    "days_text",
    "evaluate",
    "explain_dynamic_part",
    "generated_weights",
    "permutation_importance",
    "plot_comparison",
    "plot_days",
    "plot_dynamic_part",
    "plot_importance",
    "plot_run",
    "plot_scenarios",
    "plot_slices",
    "plot_transfer",
    "removed_message",
    "scenario_report",
    "sparsity_report",
]
