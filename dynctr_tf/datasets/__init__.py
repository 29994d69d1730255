"""Sources of raw rows, and the TFDS builders of the data sets.

With this package imported `tfds.load` finds the builders. Their files are imported together with TFDS, or when their
names are asked for: processes that share work on rows do without TFDS and TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

from dynctr_tf.datasets.bad_rows import BadRowError
from dynctr_tf.datasets.column_rows import ColumnRows
from dynctr_tf.datasets.draft_schema import DraftedColumn, SchemaDraft, draft_schema
from dynctr_tf.datasets.given_splits import GivenSplits
from dynctr_tf.datasets.joined_sources import JoinedSources
from dynctr_tf.datasets.negative_sampling import sample_negatives
from dynctr_tf.datasets.real_rows import real_rows
from dynctr_tf.datasets.registry import ROW_SOURCES, row_source, row_source_options
from dynctr_tf.datasets.row_files import RowFile, list_row_files
from dynctr_tf.datasets.row_source import RowBatch, RowSource, first_rows
from dynctr_tf.datasets.splits import DEFAULT_SHARES, OrderSplit, RandomSplit
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.datasets.value_vectors import ValueVectors, read_value_vectors, write_value_vectors
from dynctr_tf.on_demand import names_on_demand

if TYPE_CHECKING:
    from dynctr_tf.datasets.ali_ccp import AliCcp as AliCcp
    from dynctr_tf.datasets.ali_ccp import AliCcpRows as AliCcpRows
    from dynctr_tf.datasets.ali_ccp import ali_ccp_schema as ali_ccp_schema
    from dynctr_tf.datasets.amazon_reviews import AmazonReviews as AmazonReviews
    from dynctr_tf.datasets.amazon_reviews import AmazonReviewsConfig as AmazonReviewsConfig
    from dynctr_tf.datasets.amazon_reviews import amazon_reviews_rows as amazon_reviews_rows
    from dynctr_tf.datasets.amazon_reviews import amazon_reviews_schema as amazon_reviews_schema
    from dynctr_tf.datasets.amexpert import AmExpert as AmExpert
    from dynctr_tf.datasets.amexpert import amexpert_rows as amexpert_rows
    from dynctr_tf.datasets.amexpert import amexpert_schema as amexpert_schema
    from dynctr_tf.datasets.avazu import Avazu as Avazu
    from dynctr_tf.datasets.avazu import avazu_rows as avazu_rows
    from dynctr_tf.datasets.avazu import avazu_schema as avazu_schema
    from dynctr_tf.datasets.criteo import CriteoDisplayAds as CriteoDisplayAds
    from dynctr_tf.datasets.criteo import criteo_rows as criteo_rows
    from dynctr_tf.datasets.criteo import criteo_schema as criteo_schema
    from dynctr_tf.datasets.frappe import Frappe as Frappe
    from dynctr_tf.datasets.frappe import frappe_rows as frappe_rows
    from dynctr_tf.datasets.frappe import frappe_schema as frappe_schema
    from dynctr_tf.datasets.iaac import Iaac as Iaac
    from dynctr_tf.datasets.iaac import iaac_rows as iaac_rows
    from dynctr_tf.datasets.iaac import iaac_schema as iaac_schema
    from dynctr_tf.datasets.ipinyou import IPinYou as IPinYou
    from dynctr_tf.datasets.ipinyou import ipinyou_rows as ipinyou_rows
    from dynctr_tf.datasets.ipinyou import ipinyou_schema as ipinyou_schema
    from dynctr_tf.datasets.kuairand import KuaiRand as KuaiRand
    from dynctr_tf.datasets.kuairand import kuairand_rows as kuairand_rows
    from dynctr_tf.datasets.kuairand import kuairand_schema as kuairand_schema
    from dynctr_tf.datasets.movielens_1m import MovieLens1M as MovieLens1M
    from dynctr_tf.datasets.movielens_1m import movielens_1m_rows as movielens_1m_rows
    from dynctr_tf.datasets.movielens_1m import movielens_1m_schema as movielens_1m_schema
    from dynctr_tf.datasets.movielens_tag import MovieLensTag as MovieLensTag
    from dynctr_tf.datasets.movielens_tag import movielens_tag_rows as movielens_tag_rows
    from dynctr_tf.datasets.movielens_tag import movielens_tag_schema as movielens_tag_schema
    from dynctr_tf.datasets.row_source_builder import RowSourceConfig as RowSourceConfig
    from dynctr_tf.datasets.synthetic_ctr import SyntheticCtr as SyntheticCtr
    from dynctr_tf.datasets.synthetic_ctr import SyntheticCtrRows as SyntheticCtrRows
    from dynctr_tf.datasets.synthetic_ctr import synthetic_ctr_schema as synthetic_ctr_schema
    from dynctr_tf.datasets.tfds_rows import TfdsRows as TfdsRows

_PLACES = {
    "AliCcp": "ali_ccp",
    "AliCcpRows": "ali_ccp",
    "AmExpert": "amexpert",
    "AmazonReviews": "amazon_reviews",
    "AmazonReviewsConfig": "amazon_reviews",
    "Avazu": "avazu",
    "CriteoDisplayAds": "criteo",
    "Frappe": "frappe",
    "IPinYou": "ipinyou",
    "Iaac": "iaac",
    "KuaiRand": "kuairand",
    "MovieLens1M": "movielens_1m",
    "MovieLensTag": "movielens_tag",
    "RowSourceConfig": "row_source_builder",
    "SyntheticCtr": "synthetic_ctr",
    "SyntheticCtrRows": "synthetic_ctr",
    "TfdsRows": "tfds_rows",
    "ali_ccp_schema": "ali_ccp",
    "amazon_reviews_rows": "amazon_reviews",
    "amazon_reviews_schema": "amazon_reviews",
    "amexpert_rows": "amexpert",
    "amexpert_schema": "amexpert",
    "avazu_rows": "avazu",
    "avazu_schema": "avazu",
    "criteo_rows": "criteo",
    "criteo_schema": "criteo",
    "frappe_rows": "frappe",
    "frappe_schema": "frappe",
    "iaac_rows": "iaac",
    "iaac_schema": "iaac",
    "ipinyou_rows": "ipinyou",
    "ipinyou_schema": "ipinyou",
    "kuairand_rows": "kuairand",
    "kuairand_schema": "kuairand",
    "movielens_1m_rows": "movielens_1m",
    "movielens_1m_schema": "movielens_1m",
    "movielens_tag_rows": "movielens_tag",
    "movielens_tag_schema": "movielens_tag",
    "synthetic_ctr_schema": "synthetic_ctr",
}

__getattr__ = names_on_demand(__name__, _PLACES)


def register_builders() -> None:
    """Imports the files of all builders, which makes them known to TFDS; `TfdsRows` is none, and needs TensorFlow."""
    for file in sorted(set(_PLACES.values()) - {"tfds_rows"}):
        importlib.import_module(f"{__name__}.{file}")


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
