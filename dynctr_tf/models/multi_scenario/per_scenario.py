"""One model per scenario."""

from __future__ import annotations

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import ScenarioFieldEmbedding, SeparateTowers
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.multi_scenario.scenario_inputs import check_has_scenarios
from dynctr_tf.models.parts import Embedding, Tower, encoded_inputs, flat
from dynctr_tf.models.parts.embedding import all_ids, refuse_keys
from dynctr_tf.models.search_spaces import NETWORK


def per_scenario(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Tower = Tower((256, 128, 64)),
    unknown: str = "mean",
    name: str = "per_scenario",
) -> keras.Model:
    """One model per scenario, trained together without shared weights.

    Use it to see whether sharing pays: a scenario that is better off here suffers from negative transfer elsewhere.

    `logit = MLP_s([E_s[i_1]; ...; E_s[i_F]])`: s the row's scenario, E_s its table and MLP_s its perceptron.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The hidden layers. Default `Tower((256, 128, 64))`.
        unknown: What rows of a missing or unknown scenario get: `"mean"`, the mean of all scenarios' parameters;
            `"error"`, an error while running. Default `"mean"`.
        name: The model's name. Default `"per_scenario"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: The data has no scenarios, or a width or choice is refused by a layer.

    Cost: as many tables and perceptrons as there are scenarios; a row costs one perceptron. A row of an unknown
    scenario is looked up in all tables.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> fields = (Field("page", "scenario", 1, 5), Field("user", "user", 6, 9), Field("item", "item", 15, 9))
    >>> features = EncodedFeatures(fields, num_scenarios=5)
    >>> per_scenario(features, embedding=Embedding(4), deep=Tower((8,))).output_shape
    (None, 1)

    Reference:
        The baseline of the multi-scenario papers, which train the models separately. Here one batch holds rows of all
        scenarios; this changes the number of steps of each model, not its rows.
    """
    check_has_scenarios(features, "per_scenario")
    if embedding.sizes or embedding.frozen:
        raise ValueError(
            "per_scenario has a table for each scenario, in which fields have one size and all train; leave "
            "embedding.sizes and embedding.frozen out."
        )
    if embedding.num_keys is not None:
        raise ValueError(
            "per_scenario looks each id up in the tables of all scenarios, one below the other, in which keys have no "
            "place; leave embedding.num_keys out, or take another model of several scenarios."
        )
    refuse_keys(features, "per_scenario has a table of all ids for each scenario; let them have a vocabulary.")
    inputs = encoded_inputs(features)
    ids, pooled = all_ids(inputs, features)
    scenarios = features.num_scenarios
    tables = ScenarioFieldEmbedding(
        features.num_ids, embedding.dim, scenarios, unknown=unknown, name="embedding", **embedding.row_options()
    )
    field_map = embedding.pool(tables([inputs["scenario"], *ids]), pooled)
    towers = SeparateTowers(scenarios, deep.units, unknown=unknown, name="towers", **deep.layer_options())
    return keras.Model(inputs, towers(flat(field_map), inputs["scenario"]), name=name)


ENTRIES = (
    ModelEntry(
        "per_scenario",
        per_scenario,
        title="One model per scenario",
        paper="none; the baseline that shows negative transfer",
        equation="none",
        search_space=NETWORK,
    ),
)
