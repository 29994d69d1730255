"""Sources of raw rows, and the TFDS builders `synthetic_ctr` and `criteo_display_ads`.

Importing this package registers the builders, so that `tfds.load` finds them.
"""

from dynctr_tf.datasets.criteo import CriteoDisplayAds, CriteoDisplayAdsConfig, criteo_rows, criteo_schema
from dynctr_tf.datasets.draft_schema import DraftedColumn, SchemaDraft, draft_schema
from dynctr_tf.datasets.real_rows import real_rows
from dynctr_tf.datasets.registry import ROW_SOURCES, row_source, row_source_options
from dynctr_tf.datasets.row_checks import BadRowError
from dynctr_tf.datasets.row_source import RowBatch, RowSource
from dynctr_tf.datasets.splits import DEFAULT_SHARES, OrderSplit, RandomSplit
from dynctr_tf.datasets.synthetic_ctr import (
    SyntheticCtr,
    SyntheticCtrConfig,
    SyntheticCtrRows,
    synthetic_ctr_schema,
)
from dynctr_tf.datasets.tabular_file import TabularFile

__all__ = [
    "DEFAULT_SHARES",
    "ROW_SOURCES",
    "BadRowError",
    "CriteoDisplayAds",
    "CriteoDisplayAdsConfig",
    "DraftedColumn",
    "OrderSplit",
    "RandomSplit",
    "RowBatch",
    "RowSource",
    "SchemaDraft",
    "SyntheticCtr",
    "SyntheticCtrConfig",
    "SyntheticCtrRows",
    "TabularFile",
    "criteo_rows",
    "criteo_schema",
    "draft_schema",
    "real_rows",
    "row_source",
    "row_source_options",
    "synthetic_ctr_schema",
]
