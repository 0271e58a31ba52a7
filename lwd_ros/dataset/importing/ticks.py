"""Rows from a controller's own ticks (lwd_msgs/msg/ControllerTick): what it saw and sent, value for value."""

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.dataset.demonstrations import DatasetError
from lwd_ros.dataset.importing.resampling import Clock, Rows

TICK = "lwd_msgs/msg/ControllerTick"


class Ticks:
    """Gathers ticks of one topic."""

    def __init__(self, contract: Contract, topic: str, stale_after_s: float):
        """`stale_after_s` is how long the ticks may pause inside an episode."""
        self._contract, self._topic, self._stale_after_s = contract, topic, stale_after_s
        self._rows: list[tuple[int, int, np.ndarray, np.ndarray]] = []

    def take(self, message) -> None:
        """One recorded tick; raises DatasetError where it is one of another contract."""
        tick = message.message
        found = (len(tick.observation), len(tick.command))
        expected = (self._contract.frame_size, len(self._contract.command))
        if found != expected:
            raise DatasetError(
                f"{self._topic}: found ticks of {found[0]} observed and {found[1]} commanded scalars, expected "
                f"{expected[0]} and {expected[1]} of contract '{self._contract.name}'"
            )
        stamp_ns = tick.stamp.sec * 1_000_000_000 + tick.stamp.nanosec
        self._rows.append((stamp_ns, message.log_ns, np.array(tick.observation, float), np.array(tick.command, float)))

    def rows(self, start_ns: int, end_ns: int) -> tuple[Rows, np.ndarray] | None:
        """(rows, actions float64 [T, commands]) of what was recorded in this time; None where there are no ticks."""
        chosen = [row for row in self._rows if start_ns <= row[1] <= end_ns]
        if not chosen:
            return None
        stamps, logs = (np.array([row[part] for row in chosen], dtype=np.int64) for part in (0, 1))
        steps = np.diff(stamps, prepend=stamps[0])
        breaks = (steps > 1e9 * self._stale_after_s) | (steps < 0)  # a clock that was set back begins anew
        silent = np.full(len(chosen), "", dtype=object)
        observation = np.array([row[2] for row in chosen])
        ages = np.empty((len(chosen), 0))
        return Rows(stamps, logs, observation, silent, breaks, ages), np.array([row[3] for row in chosen])

    @property
    def clock(self) -> Clock:
        """Its stamps and rate; raises DatasetError where nothing was gathered."""
        if not self._rows:
            raise DatasetError(f"{self._topic}: found no tick, expected some under --actions tick")
        stamps, logs = (np.array([row[part] for row in self._rows], dtype=np.int64) for part in (0, 1))
        steps = np.diff(stamps)
        steps = steps[steps > 0]
        rate = 1e9 / float(np.median(steps)) if steps.size else 0.0
        return Clock(self._topic, stamps, logs, True, self._stale_after_s, rate)
