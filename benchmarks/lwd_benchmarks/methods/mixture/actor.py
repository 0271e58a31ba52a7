"""Acting by a mixture: a component is drawn now and then, and its mean is commanded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lwd_ros.contract import Contract, Frames
from lwd_ros.environments.actors import nanoseconds
from lwd_ros.evaluation.actors import EARLY
from lwd_ros.generator import ModelError, open_session
from lwd_ros.generator.model_file import content_of

METADATA_KEY = "lwd_ros_mixture"
FORMAT = 1
INPUTS = ("task", "observation")
OUTPUTS = ("weights", "means")
COMPONENTS = 8
"""Of the mixture; at one place of a scene there are at most four ways on."""


@dataclass(frozen=True)
class MixtureDescription:
    """What the metadata of such a file holds.

    Graph inputs: `task` int64 [B], `observation` float32 [B, observation vector] in the contract's order and units.
    Outputs: `weights` float32 [B, components], which add up to 1, and `means` float32 [B, components, commands] in the
    contract's units.
    """

    contract: Contract
    tasks: tuple[str, ...]
    policy_parameters: int
    training: dict = field(default_factory=dict)

    def to_metadata(self) -> dict[str, str]:
        """The one entry to write into an ONNX file's metadata."""
        content = {
            "format": FORMAT,
            "contract": self.contract.meaning(),
            "contract_digest": self.contract.digest,
            "tasks": list(self.tasks),
            "policy_parameters": self.policy_parameters,
            "training": self.training,
        }
        return {METADATA_KEY: json.dumps(content)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> "MixtureDescription":
        """Read it back; raises ModelError where something is missing."""
        content = content_of(metadata, where, METADATA_KEY)
        try:
            if content["format"] != FORMAT:
                raise ModelError(f"{where}: found format {content['format']!r}, expected {FORMAT}")
            contract = Contract.from_dict(content["contract"], where=f"{where}: contract")
            return cls(contract, tuple(content["tasks"]), int(content["policy_parameters"]), dict(content["training"]))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"{where}: its metadata is broken ({type(error).__name__}: {error})") from error


class MixtureActor:
    """Draws a component every `horizon` periods, and commands its mean, as robomimic's low-noise evaluation does.

    With a horizon of 1 a component is drawn at every step, the usual form. With None one is drawn at the first step and
    kept for the episode: the policy is committed, if only to a component, whose meaning may change along the way.
    """

    def __init__(self, model: Path, horizon: int | None = 1):
        """Load a model file; raises ModelError where it is missing or none of ours."""
        self._session, self.digest = open_session(Path(model))
        self.description = MixtureDescription.from_metadata(
            self._session.get_modelmeta().custom_metadata_map, str(model)
        )
        self.contract, self.tasks, self.horizon, self.queries = (
            self.description.contract, self.description.tasks, horizon, 0,
        )  # fmt: skip
        self._horizon_s = np.inf if horizon is None else horizon * self.contract.period_s

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        if task not in self.tasks:
            raise ModelError(f"task '{task}' is unknown to this mixture; it knows {', '.join(self.tasks)}")
        self._frames, self._rng = Frames(self.contract), np.random.default_rng(seed)
        self._task, self._until, self.queries = np.array([self.tasks.index(task)], dtype=np.int64), -np.inf, 0
        self._component: int | None = None

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """As `Actor.see`."""
        self._frames.push(observation, nanoseconds(stamp_s))
        self._seen, self._time = self._frames.vector(nanoseconds(time_s)), time_s

    @property
    def due(self) -> bool:
        """As `Actor.due`."""
        return self._time > self._until - EARLY

    def query(self) -> None:
        """As `Actor.query`: draw a component."""
        weights = self._mixture()[0]
        self._answer = int(self._rng.choice(len(weights), p=weights / weights.sum()))
        self._until, self.queries = self._time + self._horizon_s, self.queries + 1

    def adopt(self, stood_still: bool = False) -> None:
        """As `Actor.adopt`."""
        self._component = self._answer
        if stood_still:
            self._until = self._time + self._horizon_s

    def command(self) -> np.ndarray | None:
        """As `Actor.command`."""
        return None if self._component is None else self._mixture()[1][self._component]

    def _mixture(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights float64 [components] and means float64 [components, commands] for what was seen last."""
        feed = {"task": self._task, "observation": self._seen.astype(np.float32)[None]}
        weights, means = self._session.run(list(OUTPUTS), feed)
        return weights[0].astype(np.float64), means[0].astype(np.float64)
