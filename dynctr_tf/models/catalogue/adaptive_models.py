"""Models whose dense layers are adapted to each instance by APG."""

from __future__ import annotations

from types import MappingProxyType

from dynctr_tf.models.apg import APG_BASES, apg_of
from dynctr_tf.models.catalogue.entry import Choice, ModelEntry
from dynctr_tf.models.catalogue.search_spaces import ADAPTIVE
from dynctr_tf.models.catalogue.static_models import STATIC_MODELS

_BASES = {entry.name: entry for entry in STATIC_MODELS}
# The catalogue's "autoint" stands for the model without dense layers; the adaptive one has them.
_BASES["autoint"] = _BASES["autoint-plus"]

ADAPTIVE_MODELS = tuple(
    ModelEntry(
        f"apg-{base}",
        apg_of(base),
        title="APG: Adaptive Parameter Generation Network for Click-Through Rate Prediction",
        paper=f"arXiv 2203.16218, on {base}",
        equation="3 to 7",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **_BASES[base].search_space,
                **ADAPTIVE,
                # FiBiNET's first dense layer stays static, so that there must be a second one.
                **({"deep.units": Choice(((256, 256), (400, 400), (400, 400, 400)))} if base == "fibinet" else {}),
            }
        ),
    )
    for base in APG_BASES
)
