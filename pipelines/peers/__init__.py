"""Runners of other libraries beside ours, each for an interpreter that has its library."""

PEER_MODELS = {
    "FuxiCTR": (
        "lr", "fm", "dnn", "wide_deep", "deepfm", "nfm", "afm", "deep_crossing", "dcn", "dcn_v2", "dcn_v2_mix",
        "pnn", "xdeepfm", "autoint_plus", "fibinet", "apg_deepfm", "afn_plus",
    ),
    "DeepCTR": (
        "wide_deep", "deepfm", "nfm", "afm", "dcn", "dcn_v2", "dcn_v2_mix", "pnn", "xdeepfm", "autoint_plus", "fibinet",
    ),
}  # fmt: skip
"""Which models of our catalogue each peer has."""
