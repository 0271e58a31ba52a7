"""One generated policy: immutable, checked when it is built, evaluated without allocating."""

import hashlib
import re
import struct
from dataclasses import dataclass

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.policy.layout import PolicyError, PolicyLayout

FORMAT_VERSION = 1
"""Of lwd_msgs/msg/PolicyWeights, whose meaning this class shares."""

FLOAT_ARRAYS = (
    "observation_mean",
    "observation_std",
    "observation_minimum",
    "observation_maximum",
    "action_offset",
    "action_scale",
    "weights",
)
"""The float32 arrays of a policy, in the message's order."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LARGEST_WEIGHT = 1e4  # beyond this no trained network lies; a flipped exponent bit does


def _own(name: str, value, size: int) -> np.ndarray:
    """A copy of an array of a policy, of the type that it has there; raises PolicyError where it cannot be one."""
    dtype, kinds = (np.int64, "iu") if name == "observation_indices" else (np.float32, "iuf")
    try:
        found = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise PolicyError(f"{name}: found {error}, expected {size} numbers") from error
    if found.dtype.kind not in kinds:
        raise PolicyError(f"{name}: found values of type {found.dtype}, expected {np.dtype(dtype)}")
    if found.dtype == dtype:
        array = found.copy()
    else:
        with np.errstate(over="ignore"):  # beyond float32: infinite, which is refused below
            array = found.astype(dtype)
    if array.shape != (size,):
        raise PolicyError(f"{name}: found shape {array.shape}, expected ({size},)")
    if dtype is np.float32 and not np.isfinite(array).all():
        raise PolicyError(f"{name}: found {np.count_nonzero(~np.isfinite(array))} non-finite, expected none")
    return array


def _relu(values: np.ndarray, out: np.ndarray) -> None:
    np.maximum(values, 0.0, out=out)


@dataclass(frozen=True, eq=False)
class Policy:
    """A multilayer perceptron on chosen scalars of the contract's observation vector, the last frames stacked.

    command = action_offset + action_scale * network((observation[observation_indices] - mean) / std)

    The arrays are float32 (indices: int64) and read-only. `weights` is laid out by `layout`; inputs are
    `layout.layer_sizes[0]` long, actions `layout.layer_sizes[-1]`. Normalisation and `observation_minimum/maximum` (the
    range seen in training) are in the units of the scalars, `action_offset/scale` in those of the commands.

    Raises:
        PolicyError: a size, a number or a digest is wrong.
    """

    layout: PolicyLayout
    weights: np.ndarray
    observation_indices: np.ndarray
    observation_mean: np.ndarray
    observation_std: np.ndarray
    observation_minimum: np.ndarray
    observation_maximum: np.ndarray
    action_offset: np.ndarray
    action_scale: np.ndarray
    contract_digest: str
    model_digest: str
    latent_digest: str
    task: str = ""
    seed: int = 0

    def __post_init__(self):
        """Check everything, freeze the arrays and prepare the buffers of `forward`."""
        inputs, outputs = self.layout.layer_sizes[0], self.layout.layer_sizes[-1]
        sizes = {
            "weights": self.layout.parameters,
            "observation_indices": inputs,
            "observation_mean": inputs,
            "observation_std": inputs,
            "observation_minimum": inputs,
            "observation_maximum": inputs,
            "action_offset": outputs,
            "action_scale": outputs,
        }
        for name, size in sizes.items():
            array = _own(name, getattr(self, name), size)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        largest = float(np.abs(self.weights).max())
        if largest > _LARGEST_WEIGHT:
            raise PolicyError(f"weights: found a magnitude of {largest:.3g}, expected at most {_LARGEST_WEIGHT:g}")
        if not (self.observation_std > 0).all():
            raise PolicyError(f"observation_std: found {self.observation_std.min():g}, expected all above 0")
        if len(set(self.observation_indices.tolist())) != inputs or self.observation_indices.min() < 0:
            raise PolicyError("observation_indices: found repeated or negative places, expected each place once")
        for name in ("contract_digest", "model_digest", "latent_digest"):
            if not _DIGEST.fullmatch(getattr(self, name)):
                raise PolicyError(f"{name}: found {getattr(self, name)[:80]!r}, expected 64 hex digits")
        self._prepare()

    def _prepare(self) -> None:
        """Fold the normalisation into the first layer and the biases into the matrices, in float64.

        Every layer's input ends in a constant 1, which the last column of its matrix multiplies: a step is one product
        and one activation per layer. What a step calls is looked up here, once.
        """
        std, mean = self.observation_std.astype(np.float64), self.observation_mean.astype(np.float64)
        activate = np.tanh if self.layout.hidden_activation == "tanh" else _relu
        vector, products = np.ones(len(self.observation_indices) + 1), []
        object.__setattr__(self, "_input", vector[:-1])
        last = len(self.layout.layer_sizes) - 2
        for place, (w, b, shape) in enumerate(self.layout.slices()):
            matrix = self.weights[w].reshape(shape).astype(np.float64)
            bias = self.weights[b].astype(np.float64)
            if place == 0:
                matrix = matrix / std
                bias = bias - matrix @ mean
            if place == last and self.layout.output_activation == "identity":
                matrix = matrix * self.action_scale[:, None].astype(np.float64)
                bias = bias * self.action_scale + self.action_offset
            product = np.hstack([matrix, bias[:, None]]).dot
            following = np.ones(shape[0] + 1)
            if place < last:
                products.append((product, vector, following[:-1]))
            else:
                object.__setattr__(self, "_output", (product, vector))
            vector = following
        object.__setattr__(self, "_hidden", (tuple(products), activate))

    def require_contract(self, contract: Contract) -> None:
        """Raise PolicyError unless the policy was trained for `contract`."""
        if self.contract_digest != contract.digest:
            raise PolicyError(
                f"contract_digest: found {self.contract_digest[:12]}, expected {contract.digest[:12]} "
                f"of contract '{contract.name}'"
            )
        sizes = (int(self.observation_indices.max()) + 1, self.layout.layer_sizes[-1])
        if sizes[0] > contract.vector_size or sizes[1] != len(contract.command):
            raise PolicyError(
                f"layer_sizes: found a policy that reads place {sizes[0] - 1} and commands {sizes[1]} scalars, "
                f"expected places below {contract.vector_size} and {len(contract.command)} commands"
            )

    @property
    def parameters(self) -> int:
        """Number of weights and biases; the normalisation folds into the first layer."""
        return self.layout.parameters

    @property
    def policy_id(self) -> str:
        """16 hex digits: the start of the SHA-256 over the bytes that lwd_msgs/msg/PolicyWeights specifies."""
        if "_id" not in self.__dict__:
            total = hashlib.sha256(struct.pack("<I", FORMAT_VERSION))

            def text(value: str) -> None:
                total.update(struct.pack("<I", len(value.encode())) + value.encode())

            def array(values, dtype: str) -> None:
                total.update(struct.pack("<I", len(values)) + np.asarray(values).astype(dtype).tobytes())

            text(self.task)
            total.update(struct.pack("<Q", self.seed))
            for value in (self.contract_digest, self.model_digest, self.latent_digest):
                text(value)
            array(self.layout.layer_sizes, "<u4")
            text(self.layout.hidden_activation)
            text(self.layout.output_activation)
            array(self.observation_indices, "<u4")
            for name in FLOAT_ARRAYS:
                array(getattr(self, name), "<f4")
            object.__setattr__(self, "_id", total.hexdigest()[:16])
        return self.__dict__["_id"]

    def forward(self, observation: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Compute the command for one observation, without limits, into `out`.

        `observation` is float64 [contract.vector_size] (`Frames.vector`), `out` float64 [commands]. Allocates nothing,
        and uses buffers of the policy: one thread at a time.
        """
        # _prepare has set these, past the frozen dataclass.
        observation.take(self.observation_indices, None, self._input, "clip")  # type: ignore[attr-defined, call-overload]
        products, activate = self._hidden  # type: ignore[attr-defined]
        for product, vector, result in products:
            product(vector, result)
            activate(result, result)
        product, vector = self._output  # type: ignore[attr-defined]
        product(vector, out)
        if self.layout.output_activation == "tanh":
            np.tanh(out, out=out)
            out *= self.action_scale
            out += self.action_offset
        return out

    def warm_up(self, observation: np.ndarray) -> None:
        """Run once off the control path, so that the first tick pays for nothing.

        Raises:
            PolicyError: the policy's command for this observation is not finite.
        """
        command = self.forward(observation, np.empty(self.layout.layer_sizes[-1]))
        if not np.isfinite(command).all():
            raise PolicyError("weights: found a non-finite command for a finite observation")

    def outside_training_range(self, observation: np.ndarray, margin: float = 0.25) -> np.ndarray:
        """bool [inputs]: which inputs lie outside what was seen in training by more than `margin` of its width.

        `margin` is relative to the range, plus 1 cm (or 0.01 of a dimensionless scalar) for those that hardly moved.
        """
        values = observation[self.observation_indices]
        slack = margin * (self.observation_maximum - self.observation_minimum) + 0.01
        return (values < self.observation_minimum - slack) | (values > self.observation_maximum + slack)
