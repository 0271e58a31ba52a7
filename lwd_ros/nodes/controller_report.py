"""What the policy controller tells of itself: `~/status` and its entry in `/diagnostics`."""

from typing import NamedTuple

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from lwd_msgs.msg import ControllerStatus
from lwd_ros.control import ControllerCore, Holding, Mode, Outcome, Stopped, TickStatistics
from lwd_ros.nodes.conversions import to_stamp
from lwd_ros.nodes.streams import MissingStream, StreamSubscriber
from lwd_ros.policy import Policy

_MOMENTS = ("work", "lateness", "inference", "answered_age", "interval")  # of TickStatistics and of the status alike
_FIELDS = [(name, f"{name}_mean_s", f"{name}_deviation_s", f"{name}_max_s") for name in _MOMENTS]
_DISCOVERY_S = 1.0  # topics need a moment to be discovered; before that, "missing" would be noise


class Thresholds(NamedTuple):
    """Where a diagnostic's level changes: rate in Hz off the contract's, mean work of a tick in s.

    The defaults of the controller's parameters are those of ros2_control's `diagnostics.threshold`.
    """

    rate_warn_hz: float
    rate_error_hz: float
    work_warn_s: float
    work_error_s: float


class ControllerReport:
    """The report of one activation: counts since it began, and two windows, since the last status and diagnostic."""

    def __init__(self, core: ControllerCore, now: float, thresholds: Thresholds):
        self._core, self._began, self._thresholds = core, now, thresholds
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

    def change(self, now: float) -> tuple[str, bool]:
        """What to log of a change since the last status, '' for nothing, and whether it is a fault or a stop."""
        before, mode = self._reported[1], self._core.mode
        if not self._outcome_has_changed():
            return "", False
        if isinstance(mode, Stopped):
            return f"stopped: {mode.reason}; the next policy that is asked for starts it again", True
        if isinstance(mode, Holding):
            return f"{mode.outcome.name.lower()}: {mode.reason}", True
        if isinstance(before, Holding) and mode.outcome is Outcome.CONTINUE:
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

    def missing(self, now: float, observations: StreamSubscriber) -> list[MissingStream]:
        """Observation streams that give nothing, once there was time to discover them."""
        entries = self._core.missing(now) if now - self._began > _DISCOVERY_S else []
        return observations.explain(entries) if entries else []

    def status(self, now: float, missing: list[MissingStream], command_problems: list[str]) -> ControllerStatus:
        """The status message, but for its stamp, valid until the next call; begins a new window."""
        self._fold()
        core, total, window = self._core, self._total, self._status_window
        self._status_window = TickStatistics()
        policy, age_s = core.active, core.observation_age_s(now)
        self._reported = (policy, core.mode)
        message = self._message
        message.outcome, message.reason = int(core.mode.outcome), core.mode.reason
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
            "rate_hz": f"{1 / window.interval.mean:.2f}" if window.interval.count else "",
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
        if core.mode.outcome is Outcome.CONTINUE:
            level, sentences = self._judge(window)
            return level, "; ".join([f"running '{values['task']}'", *sentences]), values
        level = DiagnosticStatus.WARN if core.mode.outcome is Outcome.WAITING else DiagnosticStatus.ERROR
        return level, "; ".join([core.mode.reason, *core.missing(now)]), values

    def _judge(self, window: TickStatistics) -> tuple[bytes, list[str]]:
        """ros2_control's two questions to a controller: does it run as often as it should, and as briefly?"""
        limits, period_s = self._thresholds, self._core.contract.period_s
        # A simulation may go faster or slower than the clock on the wall.
        timed = window.interval.count and not self._core.simulated_time
        rate_hz = 1 / window.interval.mean if timed else 1 / period_s
        checks = (
            (
                abs(rate_hz - 1 / period_s),
                (limits.rate_warn_hz, limits.rate_error_hz),
                f"{rate_hz:.1f} Hz, expected {1 / period_s:g} Hz",
            ),
            (
                window.work.mean,
                (limits.work_warn_s, limits.work_error_s),
                f"a tick works {window.work.mean * 1e3:.2f} ms, expected at most {limits.work_warn_s * 1e3:g} ms",
            ),
        )
        level, sentences = DiagnosticStatus.OK, []
        for found, (warn, error), sentence in checks:
            if found > warn:
                sentences.append(sentence)
                level = max(level, DiagnosticStatus.ERROR if found > error else DiagnosticStatus.WARN)
        return level, sentences
