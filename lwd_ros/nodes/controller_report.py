"""What the policy controller tells of itself: `~/status` and its entry in `/diagnostics`."""

from typing import NamedTuple

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from lwd_msgs.msg import ControllerStatus
from lwd_ros.control import (
    ClockProblem,
    ControllerCore,
    Forbidden,
    Holding,
    Mode,
    Outcome,
    Running,
    Stopped,
    TickRate,
    TickStatistics,
    WaitingForObservation,
    WaitingForPolicy,
)
from lwd_ros.nodes.conversions import to_stamp
from lwd_ros.nodes.permission import PermissionSubscriber
from lwd_ros.nodes.streams import MissingStream, StreamSubscriber
from lwd_ros.policy import Policy

_MOMENTS = ("work", "lateness", "inference", "answered_age", "interval")  # of TickStatistics and of the status alike
_FIELDS = [(name, f"{name}_mean_s", f"{name}_deviation_s", f"{name}_max_s") for name in _MOMENTS]
_DISCOVERY_S = 1.0  # topics need a moment to be discovered; before that, "missing" would be noise
_AGREE_S = 0.4  # streams that start one after the other need less until they agree


class Thresholds(NamedTuple):
    """Where a diagnostic's level changes: mean work of a tick in s.

    The defaults of the controller's parameters are those of ros2_control's `diagnostics.threshold`.
    """

    work_warn_s: float
    work_error_s: float


def _hz(rate_hz: float | None) -> str:
    return "" if rate_hz is None else f"{rate_hz:.2f}"


class ControllerReport:
    """The report of one activation: counts since it began, and two windows, since the last status and diagnostic.

    `answers_each`: each observation has its tick; otherwise ticks have deadlines.
    """

    def __init__(self, core: ControllerCore, now: float, thresholds: Thresholds, answers_each: bool = True):
        self._core, self._began, self._thresholds, self._answers_each = core, now, thresholds, answers_each
        self._rate = TickRate(core.contract.period_s)
        self._rate_sentences: list[str] = []
        self._clock_problems: list[ClockProblem] = []
        self._total, self._status_window, self._diagnostics_window = (TickStatistics() for _ in range(3))
        self._reported: tuple[Policy | None, Mode | None] = (None, None)
        self._stamps: dict[str, Time] = {}
        self._rejected: tuple[str, Time, str] = ("", Time(), "")
        self._rejections = 0
        # Filled again for each status: publishing copies it, and to make another one would take as long as to fill it.
        self._message = ControllerStatus(
            contract_name=core.contract.name,
            contract_digest=core.contract.digest,
            control_period_s=core.contract.period_s,
        )

    def accepted(self, policy: Policy, stamp: Time) -> None:
        """Remember when a policy was published, to tell repetitions of one policy apart."""
        active = self._active_id()
        self._stamps = {key: value for key, value in self._stamps.items() if key == active}
        self._stamps[policy.policy_id] = stamp

    def rejected(self, policy_id: str, stamp: Time, reason: str) -> None:
        """Count a policy that was refused."""
        self._rejected, self._rejections = (policy_id, stamp, reason), self._rejections + 1

    def has_changed(self) -> bool:
        """Whether policy or outcome are not those of the last status."""
        return self._core.active is not self._reported[0] or self._outcome_has_changed()

    def _outcome_has_changed(self) -> bool:
        before = self._reported[1]
        return before is None or self._core.mode.outcome is not before.outcome

    @property
    def was_forbidden(self) -> bool:
        """Whether the permission was missing at the last status."""
        return isinstance(self._reported[1], Forbidden)

    def change(self, now: float) -> tuple[str, bool]:
        """What to log of a change since the last status, '' for nothing, and whether it is a fault or a stop."""
        before, mode = self._reported[1], self._core.mode
        if not self._outcome_has_changed():
            return "", False
        ended = ""
        if isinstance(before, Forbidden):
            ended = f"forbidden ended after {now - before.since_s:.2f} s: "
        if isinstance(mode, Forbidden):
            then = "the policy goes on when it is back" if mode.resumes else "a new policy must be asked for then"
            return f"forbidden: {mode.reason}; {then}", True
        if isinstance(mode, Stopped):
            planned = mode.planned or bool(ended)  # the fault was told when it began
            return f"{ended}stopped: {mode.reason}; the next policy that is asked for starts it again", not planned
        accepted = self._core.accepted
        if ended and accepted is not None and self._core.denied(now):
            return f"'{accepted.task}' waits for the permission that is missing", False
        if ended and accepted is not None:
            return f"{ended}'{accepted.task}' waits for an observation", False
        if isinstance(mode, Holding):
            return f"{mode.outcome.name.lower()}: {mode.reason}", True
        if isinstance(before, Holding) and isinstance(mode, Running):
            name, held_s = before.outcome.name.lower(), now - before.since_s
            return f"{name} ended after {held_s:.2f} s: '{mode.policy.task}' goes on", False
        return "", False

    def _active_id(self) -> str:
        active = self._core.active
        return active.policy_id if active else ""

    def _fold(self) -> None:
        window = self._core.take_statistics()
        self._total += window
        self._status_window += window
        self._diagnostics_window += window
        self._rate.add(window.interval)

    def look_at_timing(self, now: float) -> list[ClockProblem]:
        """Judge rates and clocks, for status and diagnostics until the next look; returns whose clocks are apart."""
        self._fold()
        timing, running = self._core.timing, self._core.mode.outcome is Outcome.CONTINUE
        if not running:
            self._rate.forget()
        self._rate_sentences = [problem] if (problem := timing.rate_problem(now, self._answers_each)) else []
        ticks = 0.0 if self._core.simulated_time else timing.off(self._rate.hz)
        if ticks and not (self._rate_sentences and ticks * timing.complete_off(now) > 0.0):  # else it has been said
            self._rate_sentences.append(timing.sentence("ticks", self._rate.hz))
        if isinstance(self._core.mode, (WaitingForPolicy, Stopped)) and self._is_settled(now):
            idle = "" if self._core.missing(now) else self._core.fault(now)
            self._rate_sentences += [idle] if idle else []
        self._clock_problems = timing.clock_problems()
        return self._clock_problems

    @property
    def timing_problems(self) -> list[str]:
        """One sentence for each rate that is not the contract's, and for clocks that are not this computer's.

        Also why observations could not be answered, where no policy waits to say it.
        """
        return [*self._rate_sentences, *(problem.sentence for problem in self._clock_problems)]

    def missing(self, now: float, observations: StreamSubscriber) -> list[MissingStream]:
        """Observation streams that give nothing, once there was time to discover them."""
        entries = self._core.missing(now) if now - self._began > _DISCOVERY_S else []
        return observations.explain(entries) if entries else []

    def silent_permissions(self, now: float, permission: PermissionSubscriber) -> list[MissingStream]:
        """Permission streams that say nothing, once there was time to discover them."""
        places = self._core.silent_permissions(now) if now - self._began > _DISCOVERY_S else []
        return permission.explain(places) if places else []

    def status(self, now: float, missing: list[MissingStream], command_problems: list[str]) -> ControllerStatus:
        """The status message, but for its stamp, valid until the next call; begins a new window."""
        self._fold()
        core, total, window = self._core, self._total, self._status_window
        self._status_window = TickStatistics()
        policy, age_s = core.active, core.observation_age_s(now)
        self._reported = (policy, core.mode)
        message = self._message
        message.outcome, message.reason = int(core.mode.outcome), self._reason(now)
        message.timing_problems = self.timing_problems
        message.rejected_policy_id, message.rejected_stamp, message.rejected_reason = self._rejected
        message.swaps, message.rejections = total.swaps, self._rejections
        message.ticks, message.starved_ticks, message.overruns = total.ticks, total.starved_ticks, total.overruns
        message.window_ticks, message.window_intervals = window.ticks, window.interval.count
        message.observation_age_s = -1.0 if age_s is None else age_s
        message.missing_streams = [each.topic for each in missing]
        message.missing_reasons = [each.reason for each in missing]
        message.command_problems = command_problems
        message.outside_training_range = core.outside_training_range()
        for name, mean, deviation, maximum in _FIELDS:
            moments = getattr(window, name)
            setattr(message, mean, moments.mean)
            setattr(message, deviation, moments.deviation)
            setattr(message, maximum, moments.maximum)
        if policy is None:
            message.policy_id, message.task, message.seed = "", "", 0
            message.policy_stamp, message.policy_parameters, message.policy_first_stamp = Time(), 0, Time()
        else:
            message.policy_id, message.task, message.seed = policy.policy_id, policy.task, policy.seed
            message.policy_stamp = self._stamps[policy.policy_id]
            message.policy_parameters = policy.parameters
            message.policy_first_stamp = to_stamp(core.first_stamp_ns)
        return message

    def _reason(self, now: float) -> str:
        """Why no policy commands; of one that waits for its first observation, what is wrong with those that come."""
        mode = self._core.mode
        if isinstance(mode, WaitingForObservation) and self._is_settled(now):
            reasons = [self._core.denied(now), self._core.fault(now)]
            return "; ".join(reason for reason in reasons if reason) or mode.reason
        return mode.reason

    def _is_settled(self, now: float) -> bool:
        return now - self._began > _AGREE_S

    def diagnose(self, now: float) -> tuple[bytes, str, dict]:
        """Level, sentence and values of the diagnostic; begins a new window."""
        self._fold()
        core, total, window = self._core, self._total, self._diagnostics_window
        self._diagnostics_window = TickStatistics()
        policy = core.active
        values = {
            "outcome": core.mode.outcome.name.lower(),
            "policy_id": self._active_id(),
            "task": policy.task if policy else "",
            "ticks": total.ticks,
            "overruns": total.overruns,
            "starved_ticks": total.starved_ticks,
            "swaps": total.swaps,
            "rejections": self._rejections,
            "rate_hz": _hz(self._rate.hz),
            **{f"rate_hz {topic}": _hz(rate_hz) for topic, rate_hz in core.timing.rates_hz(now)},
        }
        if core.told_age_s is not None:
            values["told_observation_age_s"] = f"{core.told_age_s:.6f}"
        for name in _MOMENTS:
            moments = getattr(window, name)
            values |= {
                f"{name}_mean_s": f"{moments.mean:.6f}",
                f"{name}_deviation_s": f"{moments.deviation:.6f}",
                f"{name}_max_s": f"{moments.maximum:.6f}",
            }
        level, sentences = self._judge(now, window)
        if self.timing_problems:
            is_age_wrong = bool(self._clock_problems) and core.contract.age_place is not None
            level = max(level, DiagnosticStatus.ERROR if is_age_wrong else DiagnosticStatus.WARN)
        return level, "; ".join(dict.fromkeys([*sentences, *self.timing_problems])), values

    def _judge(self, now: float, window: TickStatistics) -> tuple[bytes, list[str]]:
        """Level and sentences on the mode; of a policy that runs also whether its ticks are as brief as they should."""
        core, mode, limits = self._core, self._core.mode, self._thresholds
        if isinstance(mode, Stopped) and mode.planned:
            return DiagnosticStatus.OK, [
                f"{mode.reason}, as planned; the next policy that is asked for starts it again"
            ]
        if isinstance(mode, Forbidden):  # that somebody says no is no fault; that nobody says anything is one
            level = DiagnosticStatus.ERROR if core.silent_permissions(now) else DiagnosticStatus.WARN
            return level, [mode.reason, *core.missing(now)]
        if not isinstance(mode, Running):
            level = DiagnosticStatus.WARN if mode.outcome is Outcome.WAITING else DiagnosticStatus.ERROR
            missing = (
                [] if isinstance(mode, (Holding, WaitingForObservation)) else core.missing(now)
            )  # the reason says it
            return level, [self._reason(now), *missing]
        sentences, work_s = [f"running '{mode.policy.task}'"], window.work.mean
        if work_s <= limits.work_warn_s:
            return DiagnosticStatus.OK, sentences
        sentences.append(f"a tick works {work_s * 1e3:.2f} ms, expected at most {limits.work_warn_s * 1e3:g} ms")
        return DiagnosticStatus.ERROR if work_s > limits.work_error_s else DiagnosticStatus.WARN, sentences
