"""Self-attention of behaviours."""

from __future__ import annotations

import numpy as np

from dynctr_tf.layers.sequence import SelfAttentionEncoder

RANDOM = np.random.default_rng(10)
X = RANDOM.normal(size=(4, 5, 4)).astype(np.float32)


def test_sessions_do_not_see_each_other() -> None:
    layer = SelfAttentionEncoder(session_length=2)
    expected = np.array(layer(X))
    changed = X.copy()
    changed[:, 2:4] += 1
    found = np.array(layer(changed))
    np.testing.assert_allclose(found[:, [0, 1, 4]], expected[:, [0, 1, 4]], atol=1e-6)
    assert np.abs(found[:, 2] - expected[:, 2]).max() > 0.01
    blocks = np.tile(np.arange(5) // 2, (4, 1))
    whole = SelfAttentionEncoder()
    whole(X)
    whole.set_weights(layer.get_weights())
    np.testing.assert_allclose(whole(X, sessions=blocks), expected, atol=1e-6)
