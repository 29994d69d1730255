"""Sources of raw rows, and the TFDS builders of the data sets.

Importing this package registers the builders, so that `tfds.load` finds them.
"""

from dynctr_tf.datasets.ali_ccp import AliCcp, AliCcpRows, ali_ccp_schema
from dynctr_tf.datasets.amazon_reviews import (
    AmazonReviews,
    AmazonReviewsConfig,
    amazon_reviews_rows,
    amazon_reviews_schema,
)
from dynctr_tf.datasets.amexpert import AmExpert, amexpert_rows, amexpert_schema
from dynctr_tf.datasets.avazu import Avazu, avazu_rows, avazu_schema
from dynctr_tf.datasets.column_rows import ColumnRows
from dynctr_tf.datasets.criteo import CriteoDisplayAds, criteo_rows, criteo_schema
from dynctr_tf.datasets.draft_schema import DraftedColumn, SchemaDraft, draft_schema
from dynctr_tf.datasets.frappe import Frappe, frappe_rows, frappe_schema
from dynctr_tf.datasets.given_splits import GivenSplits
from dynctr_tf.datasets.iaac import Iaac, iaac_rows, iaac_schema
from dynctr_tf.datasets.ipinyou import IPinYou, ipinyou_rows, ipinyou_schema
from dynctr_tf.datasets.joined_sources import JoinedSources
from dynctr_tf.datasets.kuairand import KuaiRand, kuairand_rows, kuairand_schema
from dynctr_tf.datasets.movielens_1m import MovieLens1M, movielens_1m_rows, movielens_1m_schema
from dynctr_tf.datasets.movielens_tag import MovieLensTag, movielens_tag_rows, movielens_tag_schema
from dynctr_tf.datasets.negative_sampling import sample_negatives
from dynctr_tf.datasets.real_rows import real_rows
from dynctr_tf.datasets.registry import ROW_SOURCES, row_source, row_source_options
from dynctr_tf.datasets.row_checks import BadRowError
from dynctr_tf.datasets.row_files import RowFile, list_row_files
from dynctr_tf.datasets.row_source import RowBatch, RowSource, first_rows
from dynctr_tf.datasets.row_source_builder import RowSourceConfig
from dynctr_tf.datasets.splits import DEFAULT_SHARES, OrderSplit, RandomSplit
from dynctr_tf.datasets.synthetic_ctr import SyntheticCtr, SyntheticCtrRows, synthetic_ctr_schema
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.datasets.tfds_rows import TfdsRows
from dynctr_tf.datasets.value_vectors import ValueVectors, read_value_vectors, write_value_vectors

__all__ = [
    "DEFAULT_SHARES",
    "ROW_SOURCES",
    "AliCcp",
    "AliCcpRows",
    "AmExpert",
    "AmazonReviews",
    "AmazonReviewsConfig",
    "Avazu",
    "BadRowError",
    "ColumnRows",
    "CriteoDisplayAds",
    "DraftedColumn",
    "Frappe",
    "GivenSplits",
    "IPinYou",
    "Iaac",
    "JoinedSources",
    "KuaiRand",
    "MovieLens1M",
    "MovieLensTag",
    "OrderSplit",
    "RandomSplit",
    "RowBatch",
    "RowFile",
    "RowSource",
    "RowSourceConfig",
    "SchemaDraft",
    "SyntheticCtr",
    "SyntheticCtrRows",
    "TabularFile",
    "TfdsRows",
    "ValueVectors",
    "ali_ccp_schema",
    "amazon_reviews_rows",
    "amazon_reviews_schema",
    "amexpert_rows",
    "amexpert_schema",
    "avazu_rows",
    "avazu_schema",
    "criteo_rows",
    "criteo_schema",
    "draft_schema",
    "first_rows",
    "frappe_rows",
    "frappe_schema",
    "iaac_rows",
    "iaac_schema",
    "ipinyou_rows",
    "ipinyou_schema",
    "kuairand_rows",
    "kuairand_schema",
    "list_row_files",
    "movielens_1m_rows",
    "movielens_1m_schema",
    "movielens_tag_rows",
    "movielens_tag_schema",
    "read_value_vectors",
    "real_rows",
    "row_source",
    "row_source_options",
    "sample_negatives",
    "synthetic_ctr_schema",
    "write_value_vectors",
]
