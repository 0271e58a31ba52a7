"""Model files of Diffusion Policy, and sampling sequences of actions from them with onnxruntime: no torch."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.generator import ModelError, open_session

METADATA_KEY = "lwd_ros_diffusion_policy"
FORMAT = 2
INPUTS = ("noise", "task", "observation")


@dataclass(frozen=True)
class ActionModelDescription:
    """What the metadata of such a file holds.

    Graph inputs: `noise` float32 [B, prediction_horizon, commands], `task` int64 [B], `observation` float32
    [B, observation_steps, observations] in the contract's order and units, the newest last. Output: `actions` float32
    [B, prediction_horizon, commands] in the contract's units. `flops` are the floating-point operations of one query,
    a multiplication and an addition being 2. `usual_length`: no more actions have 98 of 100 demonstrations.
    """

    contract: Contract
    tasks: tuple[str, ...]
    prediction_horizon: int
    observation_steps: int
    sampling_steps: int
    parameters: int
    flops: int
    usual_length: int
    training: dict = field(default_factory=dict)

    def to_metadata(self) -> dict[str, str]:
        """The one entry to write into an ONNX file's metadata."""
        content = {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "contract"}
        content |= {"format": FORMAT, "contract": self.contract.meaning(), "contract_digest": self.contract.digest}
        return {METADATA_KEY: json.dumps(content)}

    @classmethod
    def from_metadata(cls, metadata, where: str) -> "ActionModelDescription":
        """Read it back; raises ModelError where something is missing."""
        if METADATA_KEY not in metadata:
            raise ModelError(f"{where}: found no '{METADATA_KEY}' metadata, expected a file of Diffusion Policy")
        try:
            content = json.loads(metadata[METADATA_KEY])
            if content.pop("format") != FORMAT:
                raise ModelError(f"{where}: was made by another version of lwd_ros, expected format {FORMAT}")
            contract = Contract.from_dict(content.pop("contract"), where=f"{where}: contract")
            if contract.digest != content.pop("contract_digest"):
                raise ModelError(f"{where}: its contract does not have the digest that the file states")
            return cls(contract=contract, tasks=tuple(content.pop("tasks")), **content)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"{where}: its metadata is broken ({type(error).__name__}: {error})") from error


class ActionGenerator:
    """A loaded model file of Diffusion Policy.

    Attributes:
        path: the file.
        description: what it says about itself.
        digest: SHA-256 of the file.
    """

    def __init__(self, path: str | Path):
        """Load a model file, on one thread; raises ModelError where it is missing or none of ours."""
        self.path = Path(path)
        self._session, self.digest = open_session(self.path)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.description = ActionModelDescription.from_metadata(metadata, str(path))
        found = {item.name for item in self._session.get_inputs()}
        if found != set(INPUTS) or [item.name for item in self._session.get_outputs()] != ["actions"]:
            raise ModelError(f"{path}: found inputs {sorted(found)}, expected {sorted(INPUTS)}")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that it was trained on."""
        return self.description.tasks

    def sample(self, task: str, seed: int | tuple[int, ...], observations: np.ndarray) -> np.ndarray:
        """Commands float64 [prediction_horizon, commands] for the last observations float64 [observation_steps, ...].

        The same file, task, seed and observations give the same commands. Raises ModelError for an unknown task.
        """
        description = self.description
        if task not in description.tasks:
            raise ModelError(f"task '{task}' is unknown to {self.path.name}; it knows {', '.join(description.tasks)}")
        shape = (1, description.prediction_horizon, len(description.contract.command))
        feed = {
            "noise": np.random.default_rng(seed).standard_normal(shape, dtype=np.float32),
            "task": np.array([description.tasks.index(task)], dtype=np.int64),
            "observation": np.asarray(observations, dtype=np.float32)[None],
        }
        return self._session.run(["actions"], feed)[0][0].astype(np.float64)
