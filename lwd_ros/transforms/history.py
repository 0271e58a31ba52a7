"""The recent samples of one moving transform, in the order of their stamps, within bounds."""

from bisect import bisect_left

import numpy as np

MOST_SAMPLES = 4000
"""Samples that one transform keeps at most: 10 s at 400 Hz, 1 MB."""

FEW_SAMPLES = 10
"""Samples of a transform that is on no way from a watched frame to its root, as far as is known yet."""

LATE_IN_A_ROW = 3
"""Samples older than the newest one, one after another, that say that the clock was set back."""


class History:
    """Samples of one transform: those of the `keep_ns` before the newest one, `most` at most.

    One or two late samples are sorted in. `LATE_IN_A_ROW` of them without a newer one between are a clock that jumped
    back (a bag that loops, a simulator's reset), or the end of a stamp from the future: all but them is forgotten.
    A repeated stamp is ignored, as tf2 does.
    """

    def __init__(self, keep_ns: int):
        self._keep_ns = keep_ns
        self.most = MOST_SAMPLES
        self._stamps: list[int] = []
        self._values: list[np.ndarray] = []
        self._late: list[tuple[int, np.ndarray]] = []

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def newest(self) -> int | None:
        """The newest stamp in ns."""
        return self._stamps[-1] if self._stamps else None

    @property
    def oldest(self) -> int | None:
        """The oldest stamp in ns."""
        return self._stamps[0] if self._stamps else None

    def add(self, stamp: int, value: np.ndarray) -> int:
        """Take a sample of `stamp` ns; by how many ns the clock was set back, 0 where it was not.

        `value`: float64 [7] of `read_transform`.
        """
        if not self._stamps or stamp > self._stamps[-1]:
            self._late.clear()
            self._stamps.append(stamp)
            self._values.append(value)
            self._forget_old()
            return 0
        if stamp == self._stamps[-1]:
            return 0
        self._late.append((stamp, value))
        if len(self._late) >= LATE_IN_A_ROW:
            back = self._stamps[-1] - max(stamp for stamp, _ in self._late)
            self.restart()
            return back
        place = bisect_left(self._stamps, stamp)
        if self._stamps[place] != stamp:
            self._stamps.insert(place, stamp)
            self._values.insert(place, value)
            self._forget_old()
        return 0

    def restart(self) -> None:
        """Forget all but the latest samples that were older than the newest one: they are of the new clock."""
        samples = dict(sorted(self._late, key=lambda sample: sample[0]))
        self._stamps, self._values = list(samples), list(samples.values())
        self._late.clear()
        self._forget_old()

    def _forget_old(self) -> None:
        if not self._stamps:
            return
        old = bisect_left(self._stamps, self._stamps[-1] - self._keep_ns)
        old = max(old, len(self._stamps) - self.most)
        del self._stamps[:old], self._values[:old]

    def around(self, stamp: int) -> tuple[np.ndarray, np.ndarray, float] | None:
        """The samples before and after `stamp` (ns) and how far between them it is, in [0, 1).

        At a sample's own stamp both are that sample and the fraction is 0. None where `stamp` is outside the samples.
        """
        if not self._stamps or not self._stamps[0] <= stamp <= self._stamps[-1]:
            return None
        place = bisect_left(self._stamps, stamp)
        after = self._values[place]
        if self._stamps[place] == stamp:
            return after, after, 0.0
        start = self._stamps[place - 1]
        return self._values[place - 1], after, (stamp - start) / (self._stamps[place] - start)
