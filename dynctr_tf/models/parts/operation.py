"""Dense layers whose kernels are generated, instance by instance."""

from __future__ import annotations

import dataclasses
from typing import Any

from dynctr_tf.layers import DecomposedDense, HyperDense, MixtureOfKernels
from dynctr_tf.models.parts.part import Part
from dynctr_tf.nearest import unknown_name_message

OPERATIONS = ("mixture_of_kernels", "hyper_dense", "decomposed")
_HEADS = ("block_diagonal", "shared")
_BIASES = ("dynamic", "static", "none")


@dataclasses.dataclass(frozen=True, repr=False)
class Operation(Part):
    """The dynamic layer that replaces a dense one, and how it generates its kernel.

    Use it as the option `operation` of DPN and its relatives.

    Args:
        kind: `"mixture_of_kernels"`, `"hyper_dense"` or `"decomposed"`. Default `"mixture_of_kernels"`.
        num_kernels: Number l of kernels. Default 4.
        gate_activation: Activation of their weights. Default `"softmax"`.
        num_heads: Number of heads of a mixture of kernels, a divisor of all widths. Default 1.
        head_kind: Of a mixture of kernels, `"block_diagonal"` or `"shared"`. Default `"block_diagonal"`.
        static_kernel: Whether there is a static kernel beside the mixed ones. Default `False`.
        bias_kind: `"dynamic"`, `"static"` or `"none"`; that of `"decomposed"` is always dynamic. Default `"dynamic"`.
        rank: Rank of the decomposed kernel. Default 32.
        stop_gradient: Whether contexts are cut off from the gradient. Default `False`.

    Raises:
        ValueError: An unknown kind of operation, heads or bias, or a value of another type or out of range.

    Example:

    >>> Operation("decomposed", rank=8).layer(16, None, "dynamic_1").name
    'dynamic_1'

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, equations 3 to 5.
    """

    kind: str = "mixture_of_kernels"
    num_kernels: int = 4
    gate_activation: str = "softmax"
    num_heads: int = 1
    head_kind: str = "block_diagonal"
    static_kernel: bool = False
    bias_kind: str = "dynamic"
    rank: int = 32
    stop_gradient: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        # For every kind: "hyper_dense" would take a misspelt bias for a static one.
        for what, given, known in (
            ("operation", self.kind, OPERATIONS),
            ("heads", self.head_kind, _HEADS),
            ("bias", self.bias_kind, _BIASES),
        ):
            if given not in known:
                raise ValueError(unknown_name_message(what, given, known))

    def layer(self, units: int, kernel_regularizer: Any, name: str) -> Any:
        """Makes a layer, which is called with its inputs and a context.

        Args:
            units: Its width.
            kernel_regularizer: As `keras.layers.Dense`.
            name: Its name.
        """
        shared = {"stop_gradient": self.stop_gradient, "kernel_regularizer": kernel_regularizer, "name": name}
        if self.kind == "hyper_dense":
            return HyperDense(
                units, dynamic_bias=self.bias_kind == "dynamic", use_bias=self.bias_kind != "none", **shared
            )
        mixed = {
            "num_kernels": self.num_kernels,
            "gate_activation": self.gate_activation,
            "static_kernel": self.static_kernel,
            **shared,
        }
        if self.kind == "decomposed":
            return DecomposedDense(units, rank=self.rank, **mixed)
        return MixtureOfKernels(
            units, bias_kind=self.bias_kind, num_heads=self.num_heads, head_kind=self.head_kind, **mixed
        )
