"""The tests of the rooms find what they share, such as `layer_contract`, in this folder."""
