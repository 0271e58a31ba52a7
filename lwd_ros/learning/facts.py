"""What a dataset is like, as far as the choice of a training config depends on it. Numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lwd_ros.contract import AGE, Contract
from lwd_ros.contract.contract import vector_name
from lwd_ros.contract.rest import KEEP, is_position
from lwd_ros.dataset import Episode

_STILL = 0.01  # of a command's demonstrated width: less from its rest is no motion
_NEVER = 1e-6  # of a scalar's limits: a smaller change is none
_FEW = 4  # distinct values of a switch


@dataclass(frozen=True)
class CommandFacts:
    """One command, as it was demonstrated.

    Attributes:
        name, unit: the contract's.
        rest: ZERO, KEEP or the observed scalar that it targets.
        relative: whether policies output an offset.
        low, high: of the demonstrated commands, in `unit`.
        width_share: demonstrated width over that of the limits.
        rest_share: of the frames, those in which it is at rest.
        levels: its distinct values where they are few, as those of a gripper that opens or closes; else empty.
        motion: of a position, the root mean square of its distance to where it is measured, in motion and in `unit`;
            None of others, and of one that always is at rest.
        beyond: of the frames, those beyond the contract's limits.
    """

    name: str
    unit: str
    rest: str
    relative: bool
    low: float
    high: float
    width_share: float
    rest_share: float
    levels: tuple[float, ...]
    motion: float | None
    beyond: float

    @property
    def constant(self) -> bool:
        """Whether it never changes."""
        return len(self.levels) == 1


@dataclass(frozen=True)
class DataFacts:
    """A dataset: demonstrations, scalars, commands.

    Attributes:
        contract: its contract.
        counts: demonstrations of each task, in order.
        lengths: control steps of each demonstration, int64, all tasks together.
        constant: observed scalars that never change in any task.
        commands: in the contract's order.
        idle_share: of the frames, those in which every command is at rest.
        ways: of the task with most, as the column `way` names them; 0 without that column.
        parting: of a task's demonstrations that meet, the share that part, where that is largest; None: too few meet.
    """

    contract: Contract
    counts: tuple[int, ...]
    lengths: np.ndarray
    constant: tuple[str, ...]
    commands: tuple[CommandFacts, ...]
    idle_share: float
    ways: int = 0
    parting: float | None = None

    @property
    def varying(self) -> tuple[str, ...]:
        """Observed scalars that change, without their age."""
        return tuple(n for n in self.contract.observation_names if n not in (*self.constant, AGE))

    @property
    def vectors(self) -> dict[str, int]:
        """Varying elements of each observed vector, by its name."""
        names = [vector_name(name) for name in self.varying]
        return {name: names.count(name) for name in dict.fromkeys(names) if name}


def facts_of(contract: Contract, tasks: Sequence[Sequence[Episode]]) -> DataFacts:
    """Look at the demonstrations of each task."""
    episodes = [episode for rows in tasks for episode in rows]
    observation = np.concatenate([e.observation for e in episodes])
    action = np.concatenate([e.action for e in episodes])
    limits = np.array([[s.minimum, s.maximum] for s in contract.observation])
    still = np.ptp(observation, axis=0) <= _NEVER * (limits[:, 1] - limits[:, 0])
    resting = np.stack([resting_frames(contract, place, observation, action) for place in range(len(contract.command))])
    return DataFacts(
        contract=contract,
        counts=tuple(len(rows) for rows in tasks),
        lengths=np.array([len(e.action) for e in episodes]),
        constant=tuple(n for n, flat in zip(contract.observation_names, still, strict=True) if flat and n != AGE),
        commands=tuple(
            _command(contract, place, observation, action[:, place], resting[place])
            for place in range(len(contract.command))
        ),
        idle_share=float(resting.all(axis=0).mean()),
    )


def rest_values(contract: Contract, place: int, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
    """What a command is at rest in each frame, float64 [frames]: 0, the command before (KEEP), or what it targets."""
    rest = contract.rests[place]
    if is_position(rest):
        return observation[:, contract.places(rest)[0]]
    if rest == KEEP:
        return np.concatenate([action[:1, place], action[:-1, place]])
    return np.zeros(len(action))


def resting_frames(
    contract: Contract, place: int, observation: np.ndarray, action: np.ndarray, width: float | None = None
) -> np.ndarray:
    """bool [frames]: where a command is at rest, within 1 % of `width`; None: of its width in these frames."""
    width = np.ptp(action[:, place]) if width is None else width
    away = np.abs(action[:, place] - rest_values(contract, place, observation, action))
    return away <= _STILL * width + 1e-12


def _command(
    contract: Contract, place: int, observation: np.ndarray, action: np.ndarray, resting: np.ndarray
) -> CommandFacts:
    scalar, rest = contract.command[place], contract.rests[place]
    minimum, maximum = contract.command_limits[:, place]
    motion = None
    if is_position(rest) and not resting.all():
        away = np.abs(action - observation[:, contract.places(rest)[0]])[~resting]
        motion = float(np.sqrt((away**2).mean()))
    tolerance = 1e-6 * (maximum - minimum)
    values = np.unique(np.round((action - minimum) / (maximum - minimum), 5))
    return CommandFacts(
        name=scalar.name,
        unit=scalar.unit,
        rest=rest,
        relative=scalar.relative_to is not None,
        low=float(action.min()),
        high=float(action.max()),
        width_share=float(np.ptp(action) / (maximum - minimum)),
        rest_share=float(resting.mean()),
        levels=tuple((minimum + values * (maximum - minimum)).tolist()) if len(values) <= _FEW else (),
        motion=motion,
        beyond=float(((action < minimum - tolerance) | (action > maximum + tolerance)).mean()),
    )
