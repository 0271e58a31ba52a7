"""Actors that need no model: one policy, an expert, a robot that stands still."""

import numpy as np

from lwd_ros.contract import Contract, Frames
from lwd_ros.environments.environment import Environment, Expert
from lwd_ros.environments.episode import resting
from lwd_ros.policy import Policy


def nanoseconds(time_s: float) -> int:
    """A simulation's time as stamps have it."""
    return round(1e9 * time_s)


class _Unasked:
    """What an actor is that has no model to ask."""

    queries = 0
    due = False

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`; nothing is drawn."""

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """As `Actor.see`."""

    def query(self) -> None:
        """Never due."""

    def adopt(self, stood_still: bool = False) -> None:
        """There is no answer."""


class PolicyActor(_Unasked):
    """One policy, closed loop."""

    def __init__(self, policy: Policy, contract: Contract):
        """Raise PolicyError where the policy was trained for another contract."""
        policy.require_contract(contract)
        self._policy, self._frames, self._output = policy, Frames(contract), np.empty(len(contract.command))

    def begin(self, task: str, seed: int) -> None:
        """As `Actor.begin`."""
        self._frames.reset()

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """As `Actor.see`."""
        self._frames.push(observation, nanoseconds(stamp_s))
        self._vector = self._frames.vector(nanoseconds(time_s))

    def command(self) -> np.ndarray:
        """As `Actor.command`."""
        return self._policy.forward(self._vector, self._output)


class ExpertActor(_Unasked):
    """An expert, which looks at its environment instead of observations.

    Its commands are no offsets, also where the contract's are: run it with a limiter of `episode.absolute(contract)`.
    """

    def __init__(self, expert: Expert):
        self._expert = expert

    def command(self) -> np.ndarray:
        """As `Actor.command`."""
        return self._expert.command()


class RestingActor(_Unasked):
    """A robot that stands still."""

    def __init__(self, environment: Environment, command: np.ndarray):
        """After `command`, float64 [commands], which grippers and positions keep."""
        self._output = resting(environment, command)

    def command(self) -> np.ndarray:
        """As `Actor.command`."""
        return self._output
