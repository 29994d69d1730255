"""Layers with parameters of their own for each scenario or group."""

from dynctr_tf.layers.scenario.generated_towers import GeneratedTowers
from dynctr_tf.layers.scenario.hidden_unit_contributions import HiddenUnitContributions
from dynctr_tf.layers.scenario.orthogonal_set import OrthogonalSet
from dynctr_tf.layers.scenario.partitioned_normalization import PartitionedNormalization
from dynctr_tf.layers.scenario.scenario_embedding import ScenarioEmbedding
from dynctr_tf.layers.scenario.scenario_field_embedding import ScenarioFieldEmbedding
from dynctr_tf.layers.scenario.separate_towers import SeparateTowers
from dynctr_tf.layers.scenario.shared_combination import SharedCombination
from dynctr_tf.layers.scenario.star_towers import StarTowers

__all__ = [
    "GeneratedTowers",
    "HiddenUnitContributions",
    "OrthogonalSet",
    "PartitionedNormalization",
    "ScenarioEmbedding",
    "ScenarioFieldEmbedding",
    "SeparateTowers",
    "SharedCombination",
    "StarTowers",
]
