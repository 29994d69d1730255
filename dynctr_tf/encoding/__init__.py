"""Raw rows to ids: fitting vocabularies, the encoding graph, and encoded data on disk.

The files of this room are imported when their names are asked for: those that prepare rows do without TensorFlow, so
that the processes which share that work are small.
"""

from typing import TYPE_CHECKING

from dynctr_tf.on_demand import names_on_demand

if TYPE_CHECKING:
    from dynctr_tf.encoding.encoded_dataset import EncodedDataset as EncodedDataset
    from dynctr_tf.encoding.encoded_dataset import write_encoded_dataset as write_encoded_dataset
    from dynctr_tf.encoding.encoded_features import EncodedFeatures as EncodedFeatures
    from dynctr_tf.encoding.encoded_features import EncodedSequence as EncodedSequence
    from dynctr_tf.encoding.encoded_features import Field as Field
    from dynctr_tf.encoding.encoded_features import feature_key as feature_key
    from dynctr_tf.encoding.encoder import Encoder as Encoder
    from dynctr_tf.encoding.feature_encoder import FeatureEncoder as FeatureEncoder
    from dynctr_tf.encoding.feature_encoder import fill_missing_features as fill_missing_features
    from dynctr_tf.encoding.growth import IdMap as IdMap
    from dynctr_tf.encoding.growth import VocabularyGrowth as VocabularyGrowth
    from dynctr_tf.encoding.growth import grow_encoder as grow_encoder
    from dynctr_tf.encoding.growth import id_map as id_map
    from dynctr_tf.encoding.id_names import IdNames as IdNames
    from dynctr_tf.encoding.numeric_binning import NumericBinning as NumericBinning
    from dynctr_tf.encoding.value_tally import ValueTally as ValueTally
    from dynctr_tf.encoding.vocabulary import fit_vocabularies as fit_vocabularies
    from dynctr_tf.encoding.vocabulary_lookup import VocabularyLookup as VocabularyLookup

_PLACES = {
    "EncodedDataset": "encoded_dataset",
    "EncodedFeatures": "encoded_features",
    "EncodedSequence": "encoded_features",
    "Encoder": "encoder",
    "FeatureEncoder": "feature_encoder",
    "Field": "encoded_features",
    "IdMap": "growth",
    "IdNames": "id_names",
    "NumericBinning": "numeric_binning",
    "ValueTally": "value_tally",
    "VocabularyGrowth": "growth",
    "VocabularyLookup": "vocabulary_lookup",
    "feature_key": "encoded_features",
    "fill_missing_features": "feature_encoder",
    "fit_vocabularies": "vocabulary",
    "grow_encoder": "growth",
    "id_map": "growth",
    "write_encoded_dataset": "encoded_dataset",
}

__getattr__ = names_on_demand(__name__, _PLACES)


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
