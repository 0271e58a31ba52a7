"""What goes wrong in an episode, the same for every actor: what is executed, seen, pushed, delayed or dropped."""

import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.environments.environment import Environment, require_capability

PUSHED_S = (0.25, 0.5)
"""When a push comes: between these times in s; most tasks are done after 0.6 to 1.2."""


@dataclass(frozen=True)
class Disturbance:
    """What goes wrong in an episode; nothing by default.

    Attributes:
        action_noise: deviation added to every command, which is within its limits by then, in shares of half its range.
        observation_noise_m: deviation added to every position that a sensor measures.
        delay: control steps by which observations are old; their stamps say so.
        dropped: probability that an observation does not arrive; the one before stands in for it, stamp and all.
        hand_push_m: the hand's target is displaced once by so much, in a random horizontal direction.
        object_push_mps: a free object is given so much speed once, in a random horizontal direction.
        period_s: of control and physics together, None for the contract's; a command is a velocity, so it means the
            same at any rate, but may change by no more in a step than in one of the contract's periods.
    """

    action_noise: float = 0.0
    observation_noise_m: float = 0.0
    delay: int = 0
    dropped: float = 0.0
    hand_push_m: float = 0.0
    object_push_mps: float = 0.0
    period_s: float | None = None


NONE = Disturbance()


def action_noise(contract: Contract, share: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """What a robot executes in the place of a command [commands]: that and noise, of `share` of half its range."""
    minimum, maximum = contract.command_limits
    spread = share * (0.5 * (maximum - minimum))
    return lambda command: command + spread * rng.standard_normal(len(spread))


class Trouble:
    """A disturbance of one episode: what happens in the environment, which was reset, from now on.

    Its random numbers follow from the layout and the task, so that every actor meets the same ones.

    Attributes:
        period_s: of a control step.
    """

    def __init__(self, environment: Environment, disturbance: Disturbance):
        """Set the environment's period; raises SimulationError where it cannot be disturbed so."""
        contract = environment.contract
        self.period_s = contract.period_s if disturbance.period_s is None else disturbance.period_s
        self._is_other_rate = self.period_s != contract.period_s
        pushed = disturbance.hand_push_m or disturbance.object_push_mps
        self._environment: Any = environment
        if pushed or disturbance.observation_noise_m or self._is_other_rate:
            self._environment = require_capability(environment, "disturb")
        key = [environment.layout, zlib.crc32(environment.task.encode())]
        act, self._see, self._drop, push = (np.random.default_rng([*key, stream]) for stream in range(4))
        self._disturbance = disturbance
        self._push_step = round(push.uniform(*PUSHED_S) / self.period_s)
        angle = push.uniform(0.0, 2.0 * np.pi)
        self._direction = np.array([np.cos(angle), np.sin(angle)])
        self._noisy, self._limits = action_noise(contract, disturbance.action_noise, act), contract.command_limits
        self._outputs = np.array([scalar.relative_to is None for scalar in contract.command])
        if disturbance.observation_noise_m:
            measured = self._environment.measured_positions
            self._noise, self._measured = np.zeros(contract.frame_size), np.flatnonzero(measured)
        if self._is_other_rate:
            self._environment.set_period(self.period_s)
        self._late: deque[np.ndarray] = deque(maxlen=disturbance.delay + 1)
        self._seen: tuple[np.ndarray, int] | None = None

    def sense(self, observation: np.ndarray, step: int) -> tuple[np.ndarray, int]:
        """What arrives of the observation of a step, the newest so far, and the step that it was measured in."""
        if self._disturbance.observation_noise_m:
            deviation = self._disturbance.observation_noise_m
            self._noise[self._measured] = deviation * self._see.standard_normal(len(self._measured))
            observation = observation + self._noise
        self._late.append(observation)
        arrived = self._drop.random() >= self._disturbance.dropped
        if self._seen is None or arrived:
            self._seen = self._late[0], max(0, step - self._disturbance.delay)
        return self._seen

    def push(self, step: int) -> None:
        """Push what is pushed in this step."""
        if step != self._push_step:
            return
        if self._disturbance.hand_push_m:
            self._environment.push_hand(self._disturbance.hand_push_m * self._direction)
        if self._disturbance.object_push_mps:
            self._environment.push_object(self._disturbance.object_push_mps * self._direction)

    def executed(self, command: np.ndarray) -> np.ndarray:
        """A command, within its limits, and noise: one far beyond its limit would swallow the noise otherwise."""
        return self._noisy(np.where(self._outputs, np.clip(command, *self._limits), command))
