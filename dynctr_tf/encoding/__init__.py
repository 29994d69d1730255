"""Raw rows to ids: fitting vocabularies, the encoding graph, and encoded data on disk."""

from dynctr_tf.encoding.encoded_dataset import EncodedDataset, write_encoded_dataset
from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field, feature_key
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.feature_encoder import FeatureEncoder, fill_missing_features
from dynctr_tf.encoding.growth import IdMap, VocabularyGrowth, grow_encoder, id_map
from dynctr_tf.encoding.id_names import IdNames
from dynctr_tf.encoding.numeric_binning import NumericBinning
from dynctr_tf.encoding.value_tally import ValueTally
from dynctr_tf.encoding.vocabulary import fit_vocabularies
from dynctr_tf.encoding.vocabulary_lookup import VocabularyLookup

__all__ = [
    "EncodedDataset",
    "EncodedFeatures",
    "EncodedSequence",
    "Encoder",
    "FeatureEncoder",
    "Field",
    "IdMap",
    "IdNames",
    "NumericBinning",
    "ValueTally",
    "VocabularyGrowth",
    "VocabularyLookup",
    "feature_key",
    "fill_missing_features",
    "fit_vocabularies",
    "grow_encoder",
    "id_map",
    "write_encoded_dataset",
]
