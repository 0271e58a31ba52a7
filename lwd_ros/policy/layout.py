"""Where each layer's weights and biases lie in a policy's flat vector."""

from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral

from lwd_ros.errors import LwdError

HIDDEN_ACTIVATIONS = ("tanh", "relu")
OUTPUT_ACTIVATIONS = ("identity", "tanh")
LARGEST_LAYER = 4096


class PolicyError(LwdError):
    """Weights that must not run; says what was found and what was expected."""


@dataclass(frozen=True)
class PolicyLayout:
    """The shape of a multilayer perceptron.

    `layer_sizes` are units per layer, input first. In the flat vector each layer's matrix W [outputs, inputs] comes
    row by row, then its bias b [outputs].
    """

    layer_sizes: tuple[int, ...]
    hidden_activation: str = "tanh"
    output_activation: str = "identity"

    def __post_init__(self):
        """Raise PolicyError for an impossible shape or an unknown activation."""
        sizes = tuple(self.layer_sizes)
        whole = all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes)
        if len(sizes) < 2 or not whole or any(not 0 < size <= LARGEST_LAYER for size in sizes):
            raise PolicyError(f"layer_sizes: found {list(sizes)}, expected at least two sizes in 1..{LARGEST_LAYER}")
        object.__setattr__(self, "layer_sizes", tuple(int(size) for size in sizes))
        for name, choices in (("hidden_activation", HIDDEN_ACTIVATIONS), ("output_activation", OUTPUT_ACTIVATIONS)):
            if getattr(self, name) not in choices:
                raise PolicyError(f"{name}: found {getattr(self, name)!r}, expected one of {', '.join(choices)}")

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(outputs * (inputs + 1) for inputs, outputs in pairwise(self.layer_sizes))

    def slices(self) -> list[tuple[slice, slice, tuple[int, int]]]:
        """For each layer: the slice of W, the slice of b, and the shape (outputs, inputs) of W."""
        result, start = [], 0
        for inputs, outputs in pairwise(self.layer_sizes):
            middle, end = start + outputs * inputs, start + outputs * (inputs + 1)
            result.append((slice(start, middle), slice(middle, end), (outputs, inputs)))
            start = end
        return result
