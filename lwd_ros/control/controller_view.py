"""What a controller tells of itself: nothing here decides anything."""

from lwd_ros.contract import AGE, Contract, Frames
from lwd_ros.control.command import Answer
from lwd_ros.control.mode import Holding, Mode, Running
from lwd_ros.control.observation import Observation, ObservationAssembler
from lwd_ros.control.permission import Permission
from lwd_ros.control.slew import SlewBudget
from lwd_ros.control.statistics import TickStatistics
from lwd_ros.control.timing import StreamTiming
from lwd_ros.policy import Policy, PolicySlot


class ControllerView:
    """The readable side of a ControllerCore, which has the parts and moves them. Times are s of the steady clock."""

    contract: Contract
    mode: Mode
    keeps_output: bool = False
    """Whether commands carry what the policy said, before limits and slew; costs a copy each tick."""
    _assembler: ObservationAssembler
    _slot: PolicySlot
    _frames: Frames
    _slew: SlewBudget
    _permission: Permission
    _statistics: TickStatistics
    _last: Answer | None

    @property
    def answered(self) -> Observation | None:
        """The observation that the last tick answered; None where nothing runs."""
        return self._last.observation if self._last is not None else None

    @staticmethod
    def _before(mode: Mode) -> Running | None:
        """What runs, or ran until the hold."""
        return mode.before if isinstance(mode, Holding) else mode if isinstance(mode, Running) else None

    @property
    def at_rest(self) -> bool:
        """Whether every position was told where it rests."""
        return self._slew.at_rest

    @property
    def has_positions(self) -> bool:
        """Whether some command is a place to go to."""
        return self._slew.has_positions

    def denied(self, now: float) -> str:
        """One sentence on the permission that is missing, '' where all are there."""
        return self._permission.denied(now)

    def silent_permissions(self, now: float) -> list[int]:
        """Places of the permission streams that say nothing, as `Permission.silent`."""
        return self._permission.silent(now)

    @property
    def accepted(self) -> Policy | None:
        """The policy accepted last, active from the next tick on."""
        return self._slot.newest

    @property
    def active(self) -> Policy | None:
        """The policy that commands, or did until the hold."""
        running = self._before(self.mode)
        return running.policy if running else None

    @property
    def first_stamp_ns(self) -> int:
        """Stamp of the first observation that the active policy answered, 0 without one."""
        running = self._before(self.mode)
        return running.first_stamp_ns if running else 0

    @property
    def told_age_s(self) -> float | None:
        """How old the last observation was, before that was cut off, s; None where the policy is not told."""
        running = self._before(self.mode)
        return running.age.newest_s if running and running.age else None

    @property
    def incomplete(self) -> bool:
        """Whether an observation has begun to arrive that is newer than the last complete one."""
        return self._assembler.incomplete

    def observation_age_s(self, now: float) -> float | None:
        """Time since the last complete observation arrived, None before the first."""
        completed = self._assembler.last_complete
        return None if completed is None else now - completed

    def missing(self, now: float) -> list[str]:
        """Observation topics that were never seen or are stale, each with the reason."""
        return self._assembler.missing(now)

    def fault(self, now: float) -> str:
        """One sentence on why observations cannot be trusted at `now`, '' while they can."""
        return self._assembler.fault(now)

    def outside_training_range(self) -> list[str]:
        """Names of scalars that lie far outside what the running policy was trained on, as it saw them last."""
        if not isinstance(self.mode, Running):
            return []  # what was seen before a hold or a stop says nothing about now
        return self._outside(self.mode)

    def _outside(self, running: Running) -> list[str]:
        policy = running.policy
        outside = policy.outside_training_range(self._frames.answered)
        names = [self.contract.vector_names[place] for place in policy.observation_indices[outside]]
        return names + [AGE] * bool(running.age and running.age.is_unknown)

    def take_statistics(self) -> TickStatistics:
        """The statistics since they were taken last."""
        taken, self._statistics = self._statistics, TickStatistics()
        return taken

    @property
    def timing(self) -> StreamTiming:
        """How often observations come, and by which clock they are stamped."""
        return self._assembler.timing

    def take_left_out(self) -> dict[str, tuple[int, int]]:
        """As `ObservationAssembler.take_left_out`."""
        return self._assembler.take_left_out()
