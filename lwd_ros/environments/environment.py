"""The seam to simulators: what collecting, evaluation, studies and the bridge ask of an environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.errors import LwdError


class SimulationError(LwdError):
    """An environment, a task or a layout cannot be used; says what was found and what was expected."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """What is known of an environment before anything of it is built.

    Attributes:
        name: under which it is registered, e.g. "metaworld".
        tasks: names of its tasks, at least one.
        contract_file: the contract that it speaks where no other is named.
        period_s: control period, s.
        episode_steps: control steps of an episode.
        score: `success` (at any step of an episode) or `return` (the sum of its rewards).
        task_sets: tasks by the name of a set, e.g. {"mt10": (...)}.
        reverses: by task, the task that undoes it in the same scene; demonstrations of both are chained.
    """

    name: str
    tasks: tuple[str, ...]
    contract_file: Path
    period_s: float
    episode_steps: int
    score: Literal["success", "return"] = "success"
    task_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reverses: Mapping[str, str] = field(default_factory=dict)


class Environment(Protocol):
    """One task as physics behind a contract.

    Observations are float64 [observations] in the contract's order and units, of age 0; commands are float64
    [commands]. An environment has no step limit of its own.

    Attributes:
        spec: of the environment that this is a task of.
        task: its name.
        contract: of its observations and commands.
        layout: seed of the present episode.
        reward: of the last step, 0 after a reset.
        ended: whether the last step ended the episode, as a fall does; a success does not.
    """

    spec: EnvironmentSpec
    task: str
    contract: Contract
    layout: int
    reward: float
    ended: bool

    def reset(self, layout: int) -> np.ndarray:
        """Begin an episode: place everything as the seed `layout` says; return the observation."""
        ...

    def observe(self) -> np.ndarray:
        """The present observation."""
        ...

    def step(self, command: np.ndarray) -> bool:
        """Advance one control period under `command`; whether the task is done in the new state."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class Simulator(Protocol):
    """What is registered under a name: builds environments."""

    spec: EnvironmentSpec

    def make(self, task: str, contract: Contract) -> Environment:
        """Build one task.

        Raises:
            SimulationError: there is no such task.
            ContractError: the contract names a scalar that the environment does not have, or another period.
        """
        ...


class Expert(Protocol):
    """Acts in one environment."""

    def command(self) -> np.ndarray:
        """float64 [commands] for the environment's present state, within what an action can be."""
        ...


@runtime_checkable
class HasExpert(Protocol):
    """Capability `expert`: an environment that can demonstrate its tasks."""

    def expert(self, task: str = "", anywhere: bool = False) -> Expert:
        """The expert of `task` (default: the environment's own); with `anywhere` one that copes with any start."""
        ...


@runtime_checkable
class TakesOver(Protocol):
    """Capability `take over`: a task that can go on where another one stopped."""

    def take_over(self, other: Environment) -> np.ndarray:
        """Continue in `other`'s state and layout: nothing moves, the task changes; raises SimulationError."""
        ...

    def sharing(self) -> tuple[str, ...]:
        """All tasks whose state can be kept when this one follows them, itself included."""
        ...


@runtime_checkable
class Disturbable(Protocol):
    """Capability `disturb`: an environment whose physics can be pushed about."""

    @property
    def measured_positions(self) -> np.ndarray:
        """bool [observations]: what a sensor measures in m."""
        ...

    def set_period(self, period_s: float) -> None:
        """Control and physics at another period than the contract's, until the next reset."""
        ...

    def push_hand(self, offset: np.ndarray) -> None:
        """Displace the hand's target by [2] m at once, horizontally."""
        ...

    def push_object(self, speed: np.ndarray) -> None:
        """Give the free object [2] m/s at once, horizontally; raises SimulationError where the task has none."""
        ...


@runtime_checkable
class Renders(Protocol):
    """Capability `render`: states that can be drawn again, beside the simulation or later."""

    def state(self) -> np.ndarray:
        """float64 [...]: enough to draw this moment."""
        ...

    def renderer(self, height: int = 480, width: int = 640) -> "Renderer":
        """Make one in the thread that uses it; raises RenderError where this machine cannot draw."""
        ...


class Renderer(Protocol):
    """Draws states of one environment."""

    def draw(self, state: np.ndarray) -> np.ndarray:
        """uint8 [height, width, 3], RGB."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


CAPABILITIES: Mapping[str, type] = {
    "expert": HasExpert,
    "take over": TakesOver,
    "disturb": Disturbable,
    "render": Renders,
}


def require_capability(environment: Environment, name: str) -> None:
    """Raise SimulationError unless an environment has the capability `name` of CAPABILITIES."""
    if not isinstance(environment, CAPABILITIES[name]):
        has = ", ".join(key for key, kind in CAPABILITIES.items() if isinstance(environment, kind)) or "none"
        raise SimulationError(
            f"environment '{environment.spec.name}': found capabilities {has}, expected '{name}', which this needs"
        )
