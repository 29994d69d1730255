"""Keys: ids of values without a vocabulary, hashes in the one range that all features of keys share.

```
key(feature, text) = FIRST_KEY + (fingerprint(text) + shift(feature)) mod NUM_KEYS
```

The fingerprint is the 64 bits of `tf.strings.to_hash_bucket_fast`. A missing value is the empty text. A key depends on
the feature's name and the text alone, so that nothing is fitted, and vocabularies that grow move no key: their ids lie
below `FIRST_KEY`.

Ids are int32 on the disk and in batches. So two values share a key with a probability of 1 in 2.0 billion, and of n
values about `n / NUM_KEYS` share theirs with another: 1 in 2,000 of a million, 1 in 200 of 10 million, 1 in 20 of 100
million. `KeyEmbedding` itself takes any int64; an encoder of your own may give it such.
"""

from __future__ import annotations

import hashlib

from dynctr_tf.encoding.encoded_features import MOST_IDS

FIRST_KEY = 1 << 27
"""The first key; ids of vocabularies are smaller."""

NUM_KEYS = MOST_IDS - FIRST_KEY
"""How many keys there are."""

_EMPTY_TEXT = 0x9AE16A3B2F90404F  # its fingerprint


def key_shift(feature: str) -> int:
    """How far the keys of a feature are moved, so that equal texts of two features have different keys.

    Args:
        feature: The name of the feature whose values they are.

    Example:

    >>> key_shift("user") == key_shift("user") != key_shift("item")
    True
    """
    digest = hashlib.sha256(feature.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "little") % NUM_KEYS


def missing_key(feature: str) -> int:
    """The key of a missing value of a feature.

    Args:
        feature: As `key_shift` takes it.
    """
    return FIRST_KEY + (_EMPTY_TEXT + key_shift(feature)) % NUM_KEYS


def share_with_another(num_values: int) -> float:
    """The share of so many values that have the key of another one, to be expected.

    Args:
        num_values: How many values there are.

    Example:

    >>> round(share_with_another(10_000_000), 4)
    0.005
    """
    return 1.0 - (1.0 - 1.0 / NUM_KEYS) ** max(num_values - 1, 0)
