"""Raw rows to ids: fitting vocabularies, the encoding graph, and encoded data on disk."""

from dynctr_tf.encoding.encoded_dataset import EncodedDataset, write_encoded_dataset
from dynctr_tf.encoding.encoded_features import EncodedFeatures, Field, Sequence, feature_key
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.feature_encoder import FeatureEncoder, fill_missing_features
from dynctr_tf.encoding.numeric_binning import NumericBinning
from dynctr_tf.encoding.vocabulary import fit_vocabularies
from dynctr_tf.encoding.vocabulary_lookup import VocabularyLookup

__all__ = [
    "EncodedDataset",
    "EncodedFeatures",
    "Encoder",
    "FeatureEncoder",
    "Field",
    "NumericBinning",
    "Sequence",
    "VocabularyLookup",
    "feature_key",
    "fill_missing_features",
    "fit_vocabularies",
    "write_encoded_dataset",
]
