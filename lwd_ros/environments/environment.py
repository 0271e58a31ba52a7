"""The seam to simulators: what collecting, evaluation, studies and the bridge ask of an environment.

`Simulator` and `Environment` are what every one of them is; the capabilities after them are optional, and are asked for
by `require_capability`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from lwd_ros.contract import Contract, ContractError
from lwd_ros.errors import LwdError


class SimulationError(LwdError):
    """An environment, a task or a layout cannot be used; says what was found and what was expected."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """What is known of an environment before anything of it is built.

    Attributes:
        name: by which the registry finds it: a word, or the path of a YAML file.
        tasks: names of its tasks, at least one.
        contract_file: the contract that it speaks where no other is named.
        period_s: control period, s.
        episode_steps: control steps of an episode.
        score: `success` (at any step of an episode) or `return` (the sum of its rewards).
        task_sets: tasks by the name of a set, in small letters.
        reverses: by task, the task that undoes it in the same scene; demonstrations of both are chained.
        example: the task that messages to users show, "" for the first.

    Raises:
        SimulationError: there is no task, a set is empty or holds an unknown task, a number is out of its range.
    """

    name: str
    tasks: tuple[str, ...]
    contract_file: Path
    period_s: float
    episode_steps: int
    score: Literal["success", "return"] = "success"
    task_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reverses: Mapping[str, str] = field(default_factory=dict)
    example: str = ""

    def __post_init__(self):
        if not self.tasks:
            raise SimulationError(f"environment '{self.name}': found no task, expected at least one")
        twice = [task for place, task in enumerate(self.tasks) if task in self.tasks[:place]]
        if twice:
            raise SimulationError(f"environment '{self.name}': found task '{twice[0]}' twice, expected every task once")
        for name, tasks in self.task_sets.items():
            if not tasks:
                raise SimulationError(f"environment '{self.name}': found no task in the set '{name}', expected some")
            self.require_tasks(tasks)
        self.require_tasks([*(task for pair in self.reverses.items() for task in pair), self.example or self.tasks[0]])
        if not (math.isfinite(self.period_s) and self.period_s > 0):
            raise SimulationError(f"environment '{self.name}': found period {self.period_s} s, expected one above 0")
        if self.episode_steps < 1:
            raise SimulationError(
                f"environment '{self.name}': found {self.episode_steps} steps an episode, expected at least 1"
            )
        if self.score not in ("success", "return"):
            raise SimulationError(f"environment '{self.name}': found score '{self.score}', expected success or return")

    def require_tasks(self, tasks: Sequence[str]) -> None:
        """Raise SimulationError, naming what there is, unless the environment has all `tasks`."""
        for task in tasks:
            if task not in self.tasks:
                has = ", ".join(sorted(self.tasks))
                close = get_close_matches(task, [*self.tasks, *self.task_sets], n=1)
                guess = f"; did you mean '{close[0]}'?" if close else ""
                raise SimulationError(f"task '{task}' is unknown; environment '{self.name}' has {has}{guess}")

    def require_period(self, contract: Contract) -> None:
        """Raise ContractError unless a contract has this environment's control period."""
        if abs(contract.period_s - self.period_s) > 1e-9:
            raise ContractError(
                f"contract '{contract.name}': key 'period_s': found {contract.period_s:g}, "
                f"expected {self.period_s:g}, that of environment '{self.name}'"
            )

    def contract(self) -> Contract:
        """The contract that the environment speaks where no other is named.

        Raises:
            ContractError: the file cannot be read or used, or has another period.
        """
        contract = Contract.load(self.contract_file)
        self.require_period(contract)
        return contract


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
        ended: whether the last step ended the episode, as a fall does; a success does not. Nothing is stepped after it
            but by a reset.
        start_command: float64 [commands], what the robot is commanded after a reset, before anything commands it.
    """

    spec: EnvironmentSpec
    task: str
    contract: Contract
    layout: int
    reward: float
    ended: bool

    @property
    def start_command(self) -> np.ndarray: ...

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

    @property
    def spec(self) -> EnvironmentSpec:
        """What is known before anything is built."""
        ...

    def require_contract(self, contract: Contract) -> None:
        """Raise ContractError where a contract names a scalar that no task has, or another period. Builds nothing."""
        ...

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
class HasWays(Protocol):
    """Capability `ways`: an environment whose task is done in several ways, each with an expert of its own.

    A way is a homotopy class, a grasp, a gait: whatever can be told from what happened, and not from who acted.

    Attributes:
        ways: names of all ways of the task, in every layout the same; empty where the task has one way alone.
    """

    @property
    def ways(self) -> tuple[str, ...]: ...

    def open_ways(self) -> tuple[str, ...]:
        """Those that the present layout allows, in the order of `ways`."""
        ...

    def way(self) -> str:
        """The way that was taken since the last reset or take-over, '' where it is none of `ways` or none yet."""
        ...

    def way_expert(self, way: str) -> Expert:
        """The expert that goes `way` in the present layout; raises SimulationError where nobody does."""
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


class Left(NamedTuple):
    """How a robot was left: `how` is what happened, for the column `after`; `done`, whether the task was done by it."""

    how: tuple[str, ...]
    done: bool


@runtime_checkable
class Leaves(Protocol):
    """Capability `leave`: a robot that can be left anywhere before a demonstration begins."""

    def leave(self, before: str, command: np.ndarray, drift_steps: int, noise: float, rng: np.random.Generator) -> Left:
        """Let something happen to the robot, drawn by `rng`; the environment's task is that of the demonstration.

        Args:
            before: the task that was done last in this state, "" after a reset.
            command: float64 [commands], its last command; not read after a reset.
            drift_steps: for so many control steps at most the expert of `before` drives on.
            noise: standard deviation of what is executed beside an expert's commands, in shares of their limits.
            rng: draws what happens.
        """
        ...


@runtime_checkable
class StatesExperts(Protocol):
    """Capability `expert revision`, of a simulator: its datasets say which experts made them."""

    def expert_revision(self, task: str, anywhere: bool = False) -> int:
        """A number that is raised when the expert of `task` changes; 0 is not stated in a dataset."""
        ...


@runtime_checkable
class StatesItself(Protocol):
    """Capability `digest`, of a simulator that users describe: its datasets say which description they are of."""

    def digest(self) -> str:
        """SHA-256 of all that its tasks' physics, observations and successes depend on, 64 hex digits."""
        ...


Content = Mapping[str, Any]
"""What stands in a message, by field path ("pose.pose.position.x"): numbers, texts, one-dimensional arrays in the
field's own dtype, lists of texts. What is not named is 0 or empty. The stamp is the bridge's."""


@runtime_checkable
class Speaks(Protocol):
    """Capability `messages`, of a simulator whose environments send messages; their observations are read from these.

    The environments have a method `messages()`: what is sent now, a `Content` by topic. So the bridge sends whole
    messages, of which a contract may bind what no function of a scalar could be written back into: the nearest beam of
    a sector, the yaw of a quaternion. `lwd_ros.environments.messages` has what such an environment needs.
    """

    @property
    def topics(self) -> Mapping[str, str]:
        """The message type ("pkg/msg/Name") of each topic."""
        ...


@runtime_checkable
class SendsMessages(Protocol):
    """An environment of a simulator that `Speaks`."""

    def messages(self) -> Mapping[str, Content]:
        """What every topic carries now."""
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
        """float64 [numbers]: with task and layout, enough to draw this moment."""
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


@runtime_checkable
class Pictures(Protocol):
    """Capability `picture`: an environment that draws its present state, in the thread that steps it."""

    def picture(self) -> np.ndarray:
        """uint8 [height, width, 3], RGB; raises RenderError where this machine cannot draw."""
        ...


CAPABILITIES: Mapping[str, type] = {
    "expert": HasExpert,
    "ways": HasWays,
    "take over": TakesOver,
    "leave": Leaves,
    "disturb": Disturbable,
    "render": Renders,
    "picture": Pictures,
    "messages": SendsMessages,
}


def require_capability(environment: Environment, name: str) -> Any:
    """The environment itself, which has the capability `name` of CAPABILITIES; else raises SimulationError."""
    if not isinstance(environment, CAPABILITIES[name]):
        has = ", ".join(key for key, kind in CAPABILITIES.items() if isinstance(environment, kind)) or "none"
        found = f"environment '{environment.spec.name}': found capabilities {has}"
        other = "; --expert MODULE:FUNCTION names one" if name == "expert" else ""
        raise SimulationError(f"{found}, expected '{name}', which this needs{other}")
    return environment
