"""The vector that a policy reads: the last frames of what was observed, and how old each was when it was answered.

A frame is one whole observation, float64 [contract.frame_size]. Controller, simulator, evaluation and training stack
frames here and nowhere else.
"""

import math

import numpy as np

from lwd_ros.contract.contract import Contract

GAP_PERIODS = 10
"""Frames whose stamps are further apart than so many control periods belong to different stretches of time."""


class Frames:
    """Stacks the last `contract.history` frames of one robot, oldest first, the present one last.

    Each control step pushes the frame that it answers, and reads the vector. A frame that is answered twice, because
    no newer one arrived, counts twice. Before the first frame stands the first one again. A gap in the stamps (more
    than `GAP_PERIODS`), or stamps that go back, begin anew.

    Where the contract has an observation age, a frame's place of it holds the frame's age when it was answered, cut off
    at 0 and at the contract's limit. Earlier frames keep theirs. So the rows of a dataset, which have their ages, need
    only be stacked to give the same vectors (`stacked`).

    Attributes:
        age_s: the present frame's age, s, before it was cut off; NaN before the first `vector` of a contract with age.
    """

    def __init__(self, contract: Contract):
        self._age_place, self._history = contract.age_place, contract.history
        self._longest_s = math.inf if self._age_place is None else contract.observation[self._age_place].maximum
        self._gap_ns = round(GAP_PERIODS * contract.period_s * 1e9)
        self._is_plain = self._history == 1 and self._age_place is None
        # Twice the room: a new frame goes below the others, and they move up only when the room is used up.
        self._rows = np.zeros((2 * self._history, contract.frame_size))
        flat = self._rows.reshape(-1)
        starts = range(0, (self._history + 1) * contract.frame_size, contract.frame_size)
        self._vectors = [flat[start : start + contract.vector_size] for start in starts]
        self.reset()

    def reset(self) -> None:
        """Forget all frames: the next one begins anew."""
        self._stamp_ns: int | None = None
        self._start, self._is_first = 0, True  # row of the oldest frame; whether all are the first one, from row 0 on
        self.age_s = math.nan
        self._frame: np.ndarray | None = None

    def push(self, frame: np.ndarray, stamp_ns: int) -> None:
        """Add the frame of a control step: float64 [contract.frame_size], of the time `stamp_ns`.

        It is copied, but for a contract of one frame without an age, whose vector is the frame itself.
        """
        if self._is_plain:
            self._frame = frame
            return
        rows, history, before = self._rows, self._history, self._stamp_ns
        self._stamp_ns = stamp_ns
        self._is_first = history == 1 or before is None or not 0 <= stamp_ns - before <= self._gap_ns
        if self._is_first:
            self._start = 0
            rows[:history] = frame
            return
        if self._start == history:
            rows[: history - 1] = rows[history + 1 :]
            self._start = -1
        self._start += 1
        rows[self._start + history - 1] = frame

    def vector(self, now_ns: int) -> np.ndarray:
        """The stacked vector, float64 [contract.vector_size], answered at `now_ns` of the clock that stamps frames.

        It needs a frame. The array belongs to this object until the next `push`: copy it to keep it, never write to it.
        `now_ns` is not looked at where the contract has no age.
        """
        if self._is_plain:
            assert self._frame is not None, "a vector needs a frame"
            return self._frame
        assert self._stamp_ns is not None, "a vector needs a frame"
        if self._age_place is not None:
            self.age_s = age_between_s(self._stamp_ns, now_ns)
            told_s = told_age_s(self.age_s, self._longest_s)
            if self._is_first and self._history > 1:
                self._rows[: self._history, self._age_place] = told_s
            else:
                self._rows[self._start + self._history - 1, self._age_place] = told_s
        return self._vectors[self._start]

    @property
    def answered(self) -> np.ndarray:
        """The vector as it was read last, with the ages of then."""
        if self._is_plain:
            assert self._frame is not None, "a vector needs a frame"
            return self._frame
        return self._vectors[self._start]


def age_between_s(stamp_ns: int, now_ns: int) -> float:
    """How old at `now_ns` an observation of `stamp_ns` is, s; below 0 where it is stamped in the future."""
    return 1e-9 * (now_ns - stamp_ns)


def told_age_s(age_s: float, longest_s: float) -> float:
    """The age, s, that a policy is told: from 0 to the contract's limit."""
    return min(max(age_s, 0.0), longest_s)


def stacked(contract: Contract, frames: np.ndarray) -> np.ndarray:
    """The vectors of a whole episode, as `Frames` gives them one by one where no gap is.

    Args:
        contract: whose `history` counts.
        frames: float64 [T, contract.frame_size], one a control step, each with its age where the contract has that.

    Returns:
        float64 [T, contract.vector_size]; `frames` itself for a history of 1.
    """
    if contract.history == 1:
        return frames
    back = np.arange(contract.history - 1, -1, -1)
    rows = np.maximum(np.arange(len(frames))[:, None] - back, 0)
    return frames[rows].reshape(len(frames), -1)
