"""One episode: an actor in an environment, with or without a disturbance. There is no other loop around the two."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from lwd_ros.contract import ZERO, CommandLimiter, Contract
from lwd_ros.environments.disturbance import Disturbance, Trouble
from lwd_ros.environments.environment import Environment
from lwd_ros.environments.ways import way_gone

Meanwhile = Literal["stands", "plays on", "pauses"]


@dataclass(frozen=True)
class Thinking:
    """How long a query takes, and what happens meanwhile.

    Attributes:
        steps: control steps between the observation of a query and the first command by its answer.
        meanwhile: the last command `stands`; or the answer before `plays on`; or the robot `pauses`, at rest:
            velocities are 0 and a gripper keeps its command. Until the first answer the robot stands still in any case.
    """

    steps: int = 0
    meanwhile: Meanwhile = "stands"


AT_ONCE = Thinking()


class Actor(Protocol):
    """What acts in an episode, whatever the method: asked for a command every step, it queries its model when due.

    Time begins at 0 and need not advance in the contract's periods.

    Attributes:
        queries: of its model since `begin`.
    """

    queries: int

    def begin(self, task: str, seed: int) -> None:
        """Start an episode."""
        ...

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None:
        """Take what a control step at `time_s` sees: the newest observation, float64 [observations], of `stamp_s`."""
        ...

    @property
    def due(self) -> bool:
        """Whether its model has to be asked now."""
        ...

    def query(self) -> None:
        """Ask the model with what was seen; its answer waits for `adopt`."""
        ...

    def adopt(self, stood_still: bool = False) -> None:
        """Act by the last answer from now on; it holds as if asked for just now where the robot stood still since."""
        ...

    def command(self) -> np.ndarray | None:
        """float64 [commands], not limited yet, by the adopted answer for what was seen last; None before the first."""
        ...


@dataclass(frozen=True)
class Record:
    """What happened, step by step.

    Attributes:
        observations: float64 [steps, observations], as the actor saw them.
        outputs: float64 [steps, commands], as the actor gave them.
        commands: float64 [steps, commands], as they were executed: disturbed and limited.
    """

    observations: np.ndarray
    outputs: np.ndarray
    commands: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What became of an episode.

    Attributes:
        first_success_step: 1 for the first step; 0 for none.
        queries: of the actor's model.
        steps: that were run.
        total_reward: the sum of the steps' rewards, the episode's return.
        ended: whether the environment ended it, as a fall does.
        is_done: whether the task is done in the last state.
        way: that was taken, where the environment tells several apart; '' else, and for none of them.
        record: where it was asked for.
    """

    first_success_step: int
    queries: int
    steps: int
    total_reward: float = 0.0
    ended: bool = False
    is_done: bool = False
    way: str = ""
    record: Record | None = field(default=None, compare=False)

    @property
    def success(self) -> bool:
        """At any step."""
        return self.first_success_step > 0


def run_episode(
    environment: Environment,
    actor: Actor,
    layout: int | None,
    *,
    disturbance: Disturbance | None = None,
    thinking: Thinking = AT_ONCE,
    noise: Callable[[np.ndarray], np.ndarray] | None = None,
    limiter: CommandLimiter | None = None,
    stop_at_success: bool = True,
    extra_steps: int = 0,
    steps: int | None = None,
    start_s: float = 0.0,
    record: bool = False,
) -> Outcome:
    """Run one episode, until the first success, the environment's end of it, or `steps`.

    Args:
        environment: one task.
        actor: acts in it.
        layout: the environment is reset to it, and the actor begins with the seed `layout + 1`. None: the episode goes
            on from the environment's present state, and the actor as it is.
        disturbance: what goes wrong.
        thinking: how long queries take. One command at least is given by every answer.
        noise: what is executed in the place of a command, before it is limited; not beside a disturbance.
        limiter: carries the last command over from an episode before; without one the robot is taken to be at rest.
        stop_at_success: end there: for success "at any step" nothing after it matters.
        extra_steps: run so many steps more after the first success before that.
        steps: control periods at most; None for the environment's.
        start_s: time of the first step.
        record: keep what happened.

    Raises:
        SimulationError: the environment lacks a capability that the disturbance needs.
    """
    contract = environment.contract
    if layout is not None:
        environment.reset(layout)
    trouble = None if disturbance is None else Trouble(environment, disturbance)
    period_s = contract.period_s if trouble is None else trouble.period_s
    share = period_s / contract.period_s
    noise = noise if trouble is None else trouble.executed
    limit = round((environment.spec.episode_steps if steps is None else steps) / share)
    if layout is not None:
        actor.begin(environment.task, layout + 1)
    turns, rows = _Turns(environment, actor, thinking), _Rows(contract, limit) if record else None
    first, total_reward, is_done, step = 0, 0.0, False, -1
    for step in range(limit):
        seen, taken = environment.observe(), step
        if trouble is not None:
            seen, taken = trouble.sense(seen, step)
            trouble.push(step)
        if limiter is None:
            limiter = CommandLimiter(contract)
            limiter.start(seen)
        actor.see(seen, start_s + step * period_s, start_s + taken * period_s)
        output = turns.command(limiter)
        executed = output.copy() if noise is None else noise(output)
        limiter.apply(executed, share, observation=seen)
        is_done = bool(environment.step(executed))
        total_reward += environment.reward
        if rows is not None:
            rows.add(seen, output, executed)
        if is_done and not first:
            first = step + 1
        if environment.ended or (first and stop_at_success and step + 1 - first == extra_steps):
            break
    kept, way = None if rows is None else rows.record(), way_gone(environment)
    return Outcome(first, actor.queries, step + 1, float(total_reward), bool(environment.ended), is_done, way, kept)


class _Turns:
    """When the actor is asked, when its answer is adopted, and what is commanded until then."""

    def __init__(self, environment: Environment, actor: Actor, thinking: Thinking):
        self._environment, self._actor, self._thinking = environment, actor, thinking
        self._waiting, self._answers = 0, 0
        self._command: np.ndarray | None = None

    def command(self, limiter: CommandLimiter) -> np.ndarray:
        """float64 [commands] of the step whose observation the actor has seen."""
        actor, meanwhile = self._actor, self._thinking.meanwhile
        answered = self._waiting == 1
        self._waiting = max(0, self._waiting - 1)
        if answered:
            actor.adopt(stood_still=self._answers == 0 or meanwhile == "pauses")
            self._answers += 1
        if not self._waiting and actor.due:
            actor.query()
            self._waiting = self._thinking.steps
            if not self._waiting:
                actor.adopt()
        if meanwhile == "plays on" or answered or not self._waiting:
            output = actor.command()
            if output is not None:
                self._command = output.copy()
        elif meanwhile == "pauses" and self._command is not None:
            self._command = resting(self._environment, self._command)
        if self._command is None:
            self._command = resting(self._environment, limiter.previous)
        return self._command


class _Rows:
    """Collects a record."""

    def __init__(self, contract: Contract, steps: int):
        self._observations = np.empty((steps, contract.frame_size))
        self._outputs, self._commands = (np.empty((steps, len(contract.command))) for _ in range(2))
        self._count = 0

    def add(self, seen: np.ndarray, output: np.ndarray, executed: np.ndarray) -> None:
        """One more step."""
        place = self._count
        self._observations[place], self._outputs[place], self._commands[place] = seen, output, executed
        self._count += 1

    def record(self) -> Record:
        """All steps so far."""
        return Record(*(rows[: self._count] for rows in (self._observations, self._outputs, self._commands)))


def at_rest(contract: Contract, command: np.ndarray, own: Contract) -> np.ndarray:
    """float64 [commands], an actor's output for a robot that stands still after `command`.

    Velocities and offsets are 0, all else is as it is. A contract without a binding, as model files have it, may not
    say what its commands are at rest; where they are those of the environment's `own` contract, that one says it.
    """
    rests = own.rests if contract.binding is None and contract.command == own.command else contract.rests
    pairs = zip(rests, contract.command, strict=True)
    still = [rest == ZERO or scalar.relative_to is not None for rest, scalar in pairs]
    return np.where(still, 0.0, command)


def resting(environment: Environment, command: np.ndarray) -> np.ndarray:
    """`at_rest` in an environment."""
    return at_rest(environment.contract, command, _own(environment.spec.contract_file))


@cache
def _own(contract_file: Path) -> Contract:
    return Contract.load(contract_file)


def absolute(contract: Contract) -> Contract:
    """A contract whose commands are given as such, and not as offsets: experts command so."""
    return replace(contract, command=tuple(replace(scalar, relative_to=None) for scalar in contract.command))
