"""A simulated robot: an environment that runs in real time or in lock step with whoever commands it, without ROS."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.environments.environment import (
    Content,
    Environment,
    SendsMessages,
    SimulationError,
    Simulator,
    TakesOver,
    require_capability,
)
from lwd_ros.environments.gate import CommandGate, Refusal, RunningPolicy
from lwd_ros.environments.recording import Recorder

REPEATED_S = 0.04
"""Lock step: an observation that nobody answered is sent again this often, before it goes stale."""

_SERVED_WHEN_LATE = 8  # callbacks between two steps where there is no time to wait for any
_STUCK_S = 1.0  # lock step: `complaint` says what is missing when no step came for so long
_FELL_BEHIND = 10  # periods
_DRAWN_LAYOUTS = (1_000_000, 2**31)


@dataclass(frozen=True)
class Settings:
    """How a simulated robot runs.

    Attributes:
        lockstep: it steps when a command answers, and else by the clock.
        command_timeout_s: real time: it is held when no command came for so long.
        asked_only: after each load it is held until a policy that was generated since then commands.
        delay: real time: observations leave so many control periods after their stamp.
    """

    lockstep: bool = False
    command_timeout_s: float = 0.1
    asked_only: bool = False
    delay: int = 0

    def __post_init__(self):
        if self.delay and self.lockstep:
            raise SimulationError(
                f"found a delay of {self.delay} periods in lock step, expected 0: each step waits for an answer"
            )


@dataclass(frozen=True)
class Moment:
    """What a robot tells at one stamp, in ns of simulation time.

    `observation` is float64 [observations] with `observation_stamp_ns`, or None while a delay begins; `messages` is
    what it was read from, by topic, where the environment sends messages. Steps are counted since the last load;
    `first_success_step` is 0 before there is one.
    """

    stamp_ns: int
    observation: np.ndarray | None
    observation_stamp_ns: int
    task: str
    layout: int
    episode: int
    step: int
    success: bool
    first_success_step: int
    missed: int
    holding: bool
    messages: Mapping[str, Content] | None = None


class Listener(Protocol):
    """Who hears of a simulated robot."""

    def send(self, moment: Moment) -> None:
        """Send the clock, the observation where there is one, and the task's status."""

    def info(self, sentence: str) -> None:
        """Something worth a line happened."""

    def warn(self, sentence: str) -> None:
        """Something is not as it should be, and may be so many times a second."""

    def warn_once(self, sentence: str) -> None:
        """Something is not as it should be, and is said this once: no such sentence may be left out."""

    def how_to_ask(self, task: str) -> str:
        """How a user asks for a policy for `task`."""
        ...


class SimulatedRobot:
    """Loads tasks of one simulator, takes commands, steps, and tells what comes of it.

    Nothing is sent and nothing steps before `start`, which may come before a task is loaded.
    """

    def __init__(
        self,
        simulator: Simulator,
        contract: Contract,
        settings: Settings,
        listener: Listener,
        recorder: Recorder | None = None,
        *,
        steady_s: Callable[[], float] = time.monotonic,
        system_ns: Callable[[], int] = time.time_ns,
    ):
        """A robot that speaks `contract`.

        Args:
            simulator: of its tasks.
            contract: with a binding.
            settings: how it runs.
            listener: what it is told to send and to say.
            recorder: of its states.
            steady_s: the clock that paces it, in s.
            system_ns: the clock that policies are stamped by, in ns.

        Raises:
            ContractError: the contract has no binding, another period, or a scalar that the simulator lacks.
        """
        simulator.require_contract(contract)
        self._simulator, self._contract, self._settings, self._listener = simulator, contract, settings, listener
        self._recorder, self._steady_s, self._system_ns = recorder, steady_s, system_ns
        self._gate = CommandGate(contract, settings.lockstep, settings.command_timeout_s, settings.asked_only)
        self._environments: dict[str, Environment] = {}
        self._environment: Environment | None = None
        self._taken: deque[tuple] = deque()  # observations that have not left yet, with their messages and stamps
        self._named: RunningPolicy | None = None  # the last policy that the log said does not count
        self._started = self._behind = self._success = False
        self._episode = self._steps = self._first_success = 0
        self._sent_s, self._stepped_s, self._deadline_s = -np.inf, -np.inf, steady_s()
        self.stamp_ns = 0
        """Simulation time."""
        self.period_ns = round(contract.period_s * 1e9)
        """One control period."""

    @property
    def environment(self) -> Environment | None:
        """Of the loaded task; None before there is one."""
        return self._environment

    @property
    def _loaded(self) -> Environment:
        assert self._environment is not None, "no task is loaded"
        return self._environment

    @property
    def waits_for(self) -> str:
        """The task whose policy the robot is held for since the load, '' where it is not."""
        return self._gate.wait.task if self._gate.wait is not None else ""

    def start(self) -> None:
        """Send the present moment, and step from now on."""
        self._started = True
        self._taken.clear()
        self._deadline_s, self._sent_s = self._steady_s(), -np.inf
        if self._environment is not None:
            self._send()

    def pause(self) -> None:
        """Stop stepping; the task stays as it is."""
        self._started = False

    def close(self) -> None:
        """Write the recording and free the environments."""
        if self._recorder is not None:
            self._recorder.save()
            self._listener.info(f"states recorded in {self._recorder.path}")
        for environment in self._environments.values():
            environment.close()
        self._environments, self._environment, self._recorder = {}, None, None

    def load(self, task: str, layout: int = 0, keep_state: bool = False) -> Environment:
        """Put `task` in place, in the layout of that seed (0 draws one) or in the present state; its environment.

        Raises:
            SimulationError: there is no such task, or the present state cannot be kept. The present task goes on.
            ContractError: the environment does not have what the contract names.
        """
        previous = self._environment
        if keep_state:
            environment = self._keeping(task, previous)
        else:
            environment = self._build(task)
            if isinstance(environment, TakesOver):
                for other in environment.sharing():
                    self._build(other)  # now, and not while an arm moves that must not pause
            environment.reset(layout or int(np.random.default_rng().integers(*_DRAWN_LAYOUTS)))
            self._deadline_s = self._steady_s()  # building took time that the new layout has not missed
        self._environment = environment
        self._episode += 1
        self._steps = self._first_success = 0
        self._success = False
        self.stamp_ns += self.period_ns
        self._stepped_s = self._steady_s()
        start = None if keep_state else environment.start_command
        self._gate.begin(task, self.stamp_ns, self._system_ns(), start)
        if self._recorder is not None and not keep_state:
            self._recorder.begin(environment)
        self._record()
        self._listener.info(f"task '{task}', layout {environment.layout}" + (", state kept" if keep_state else ""))
        if self.waits_for:
            held = f"'{task}' is loaded: the arm is held until a policy for it commands"
            self._listener.info(f"{held}; ask for one: {self._listener.how_to_ask(task)}")
        if self._started:
            self._send()
        return environment

    def _keeping(self, task: str, previous: Environment | None) -> Environment:
        if previous is None:
            raise SimulationError("keep_state needs a loaded task; load one without it first")
        self._simulator.spec.require_tasks([task])
        if task == previous.task:
            return previous
        if task not in require_capability(previous, "take over").sharing():
            raise SimulationError(
                f"task '{task}' has another scene than '{previous.task}', so the state cannot be kept; "
                "load it without keep_state"
            )
        environment = self._build(task)
        require_capability(environment, "take over").take_over(previous)
        return environment

    def _build(self, task: str) -> Environment:
        if task not in self._environments:
            start = self._steady_s()
            environment = self._simulator.make(task, self._contract)
            if self._recorder is not None:
                require_capability(environment, "render")
            self._environments[task] = environment
            self._listener.info(f"built '{task}' in {self._steady_s() - start:.1f} s")
        return self._environments[task]

    def take(self, place: int, stamp_ns: int, frame_id: str | None, values: np.ndarray) -> Refusal | None:
        """Take a command of stream number `place`; why it does not count, None where it does.

        In lock step the last missing answer to the pending observation makes the step.
        """
        refusal = self._gate.take(place, stamp_ns, frame_id, values, self._steady_s())
        if refusal is None:
            self._answered()
        return refusal

    def tell(self, running: RunningPolicy | None) -> None:
        """Take a controller's status, None where it has no active policy."""
        if self._gate.tell(running, self._steady_s()) and running is not None:
            text = f"policy {running.policy_id} for '{running.task}' commands: the arm is held no more"
            self._listener.info(text)
            self._answered()
        refused = self._gate.refused()
        if refused is not None and refused != self._named:
            self._named = refused
            ask = self._listener.how_to_ask(self.waits_for)
            self._listener.warn_once(f"{self._gate.why_held(self._steady_s())}; ask for one: {ask}")

    def _answered(self) -> None:
        if self._settings.lockstep and self._started and self._environment is not None and self._gate.fresh:
            self._step()

    def unexplained(self) -> str:
        """The topic on which somebody commands a held arm though no controller says that a policy runs; '' if none."""
        return self._gate.unexplained(self._steady_s())

    def turn(self, serve: Callable[[float], object]) -> None:
        """Wait, and step when it is time.

        Args:
            serve: handles one callback that comes within so many seconds, such as a command or a load.
        """
        if not self._started or self._environment is None:
            serve(0.1)
            self._deadline_s = self._steady_s()
        elif self._settings.lockstep:
            serve(REPEATED_S)
            if self._started and self._steady_s() - self._sent_s > REPEATED_S:
                self._go_on()
        else:
            left = self._deadline_s - self._steady_s()
            if left > 0:
                serve(left)
            else:
                self._keep_pace(serve, left)

    def _keep_pace(self, serve: Callable[[float], object], left: float) -> None:
        period_s = self._contract.period_s
        # Even a simulation that is slower than the clock must hear its commands and services, and new ones.
        for _ in range(_SERVED_WHEN_LATE if self._behind or left < -0.5 * period_s else 1):
            serve(0.0)
        if self._started:
            self._step()
        self._deadline_s += period_s
        late = self._steady_s() - self._deadline_s
        self._behind = late > 0.0
        if late > _FELL_BEHIND * period_s:
            self._listener.warn(f"the simulation fell {late:.2f} s behind the wall clock and goes on from here")
        if late > period_s:
            self._deadline_s = self._steady_s()  # catching up would be steps that nobody could answer

    def _go_on(self) -> None:
        """Lock step: send the pending observation again, unless it was answered by a policy that must not command.

        Such an answer moves the simulation by one step of the held arm: to a controller the same stamp again is a
        command that was lost, and its next policy would never begin. It is not done at once, for the status that names
        the policy comes after the policy's first command.
        """
        if self._gate.answered_while_held:
            self._step()
        else:
            self._send()

    def _step(self) -> None:
        """Advance one control period under the present command and send what comes of it.

        After an episode has ended time goes on by the clock, and nothing moves; in lock step it stands still.
        """
        now, environment = self._steady_s(), self._loaded
        if environment.ended:
            if self._settings.lockstep:
                return
        else:
            self._success = bool(environment.step(self._gate.next(now)))
            self._stepped_s = now
            self._steps += 1
            if self._success and not self._first_success:
                self._first_success = self._steps
                self._listener.info(f"'{environment.task}' succeeded at step {self._steps} since its load")
            if environment.ended:
                self._listener.info(f"'{environment.task}' ended at step {self._steps} since its load")
        self.stamp_ns += self.period_ns
        self._record()
        self._send()

    def _record(self) -> None:
        if self._recorder is not None:
            self._recorder.add(self._loaded, self.stamp_ns * 1e-9)

    def _send(self) -> None:
        """Send the clock and the task's status of now, and the observation that is due."""
        environment, observation, messages = self._loaded, None, None
        sent = environment.messages() if isinstance(environment, SendsMessages) else None
        self._taken.append((environment.observe(), sent, self.stamp_ns))
        if len(self._taken) > self._settings.delay:
            observation, messages, self._gate.sent_ns = self._taken.popleft()
        moment = Moment(
            stamp_ns=self.stamp_ns,
            observation=observation,
            observation_stamp_ns=self._gate.sent_ns,
            task=environment.task,
            layout=environment.layout,
            episode=self._episode,
            step=self._steps,
            success=self._success,
            first_success_step=self._first_success,
            missed=self._gate.missed,
            holding=self._gate.holding or environment.ended,
            messages=messages,
        )
        self._listener.send(moment)
        self._sent_s = self._steady_s()

    def complaint(self) -> str:
        """One sentence on what keeps the robot from doing its task, '' where nothing is seen to."""
        now, gate, environment = self._steady_s(), self._gate, self._loaded
        if environment.ended:
            return f"'{environment.task}' ended at step {self._steps}: reset or load a task"
        if gate.wait is not None:
            return f"{gate.why_held(now)}; ask for one: {self._listener.how_to_ask(self.waits_for)}"
        if gate.holding:
            return f"{gate.why_no_command(now)}: the arm is held"
        if self._settings.lockstep and now - self._stepped_s > _STUCK_S:
            return f"{gate.why_no_command(now)}: the simulation waits"
        return gate.disagreement(now)

    def values(self) -> dict:
        """Of the loaded task, by name, for diagnostics."""
        return {
            "task": self._loaded.task,
            "layout": self._loaded.layout,
            "episode": self._episode,
            "step": self._steps,
            "succeeded": bool(self._first_success),
            "missed_ticks": self._gate.missed,
        }
