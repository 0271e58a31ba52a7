"""One account of a training run's progress: which stage, which step, how long all of it will still take."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from tqdm import tqdm

_LINE_EVERY_S = 15.0  # in a log, at least
_SHARE_OF_TIME = 0.05  # between two lines of a log: a long run writes fewer


@dataclass(frozen=True)
class Stage:
    """A part of a run: its name as in file names, what it makes, its steps, and what a step costs.

    Costs are in any unit that all stages share.
    """

    name: str
    title: str
    steps: int
    cost: float = 1.0


class Progress:
    """Shows stages that follow one another as one bar; where nobody watches a terminal, as lines for a log.

    The bar advances by cost, so that the time left is that of all stages.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        shown: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`stream` is stderr where none is given; with `shown` false nothing is written."""
        self._stages, self._shown, self._stream, self._clock = list(stages), shown, stream or sys.stderr, clock
        self._total = sum(stage.steps * stage.cost for stage in stages) or 1.0
        self._place, self._step, self._done, self._loss = 0, 0, 0.0, ""
        self._began, self._from, self._told = clock(), 0.0, clock()
        self._bar: tqdm | None = None
        if shown and self._stream.isatty():
            text = "{desc} {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"
            self._bar = tqdm(total=self._total, file=self._stream, bar_format=text, mininterval=0.5, smoothing=0.05)

    def begin(self, name: str, step: int) -> None:
        """A stage begins, or goes on at `step`; the stages before it are done."""
        self._place = next(place for place, stage in enumerate(self._stages) if stage.name == name)
        before = sum(stage.steps * stage.cost for stage in self._stages[: self._place])
        skipped = before + step * self._stages[self._place].cost - self._done
        if skipped > 0:  # done in an earlier call: no measure of this machine's speed
            self._from += skipped
            if self._bar is not None:
                self._bar.initial += skipped
        self._loss = ""
        self._move(step)
        self._say()

    def at(self, step: int, loss: float | None = None) -> None:
        """`step` steps of the stage are done, the last with this loss, where it was looked at."""
        if loss is not None:
            self._loss = f"{loss:.4f}"
        self._move(step)
        every = max(_LINE_EVERY_S, _SHARE_OF_TIME * (self._clock() - self._began))
        if self._bar is None and (self._clock() - self._told >= every or step == self._stages[self._place].steps):
            self._say()

    def end(self) -> None:
        """All is done."""
        if self._bar is not None:
            self._bar.close()

    def left_s(self) -> float | None:
        """Seconds left by the pace so far; None before there is one."""
        here = self._done - self._from
        spent = self._clock() - self._began
        return (
            spent * (self._total - self._done) / here if here > 0.01 * self._total or (here > 0 and spent > 2) else None
        )

    def _move(self, step: int) -> None:
        self._step = step
        stages = self._stages
        done = sum(stage.steps * stage.cost for stage in stages[: self._place]) + step * stages[self._place].cost
        advanced, self._done = done - self._done, done
        if self._bar is not None:
            self._bar.set_description_str(self._where(), refresh=False)
            self._bar.set_postfix_str(f"loss {self._loss}" if self._loss else "", refresh=False)
            self._bar.update(advanced)

    def _where(self) -> str:
        stage = self._stages[self._place]
        number = f"stage {self._place + 1} of {len(self._stages)} ({stage.title})" if len(self._stages) > 1 else ""
        return f"{number or stage.title}, step {self._step} of {stage.steps}"

    def _say(self) -> None:
        """A line for a log."""
        if not self._shown or self._bar is not None:
            return
        self._told = self._clock()
        left = self.left_s()
        time_left = "" if left is None else f", {_clock_text(left)} left"
        gone = _clock_text(self._clock() - self._began)
        loss = f", loss {self._loss}" if self._loss else ""
        share = f"{100 * self._done / self._total:.0f} % of all"
        self._stream.write(f"{self._where()}: {share}, {gone} gone{time_left}{loss}\n")
        self._stream.flush()


def _clock_text(seconds: float) -> str:
    """Minutes and seconds as 3:05, hours as 1:02:03."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
