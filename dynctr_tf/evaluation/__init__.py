"""Reports and pictures of what models reach."""

from __future__ import annotations

from dynctr_tf.evaluation.calibration_slices import CalibrationSlice, CalibrationSlices, calibration_slices
from dynctr_tf.evaluation.comparison import ComparedModel, Comparison, compare
from dynctr_tf.evaluation.days import days_text, plot_days
from dynctr_tf.evaluation.plots import LearningCurve, plot_comparison, plot_run
from dynctr_tf.evaluation.report import Attainable, Evaluation, evaluate
from dynctr_tf.evaluation.scenario_plots import plot_scenarios, plot_transfer
from dynctr_tf.evaluation.scenario_report import Scenario, ScenarioReport, ScenarioScore, scenario_report
from dynctr_tf.evaluation.slice_plots import plot_slices
from dynctr_tf.evaluation.sparsity import SparsityReport, ZeroShare, sparsity_report

__all__ = [
    "Attainable",
    "CalibrationSlice",
    "CalibrationSlices",
    "ComparedModel",
    "Comparison",
    "Evaluation",
    "LearningCurve",
    "Scenario",
    "ScenarioReport",
    "ScenarioScore",
    "SparsityReport",
    "ZeroShare",
    "calibration_slices",
    "compare",
    "days_text",
    "evaluate",
    "plot_comparison",
    "plot_days",
    "plot_run",
    "plot_scenarios",
    "plot_slices",
    "plot_transfer",
    "scenario_report",
    "sparsity_report",
]
