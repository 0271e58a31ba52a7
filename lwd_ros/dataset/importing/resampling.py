"""From series to rows of one control period: what was known at each, and where nothing was.

Nothing is interpolated: a row has the values of the last message before it, as a controller would. A row that has none
that is fresh enough is a hole, and no row bridges one.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.contract.frames import GAP_PERIODS
from lwd_ros.dataset.demonstrations import DatasetError
from lwd_ros.dataset.importing.extraction import Extracted
from lwd_ros.dataset.importing.series import CLOCKS_APART_S, STAMP_ARRIVAL, Series, apart_s, log_of, ordered, shifts

RATE_SHARE = 0.1
"""A recorded rate that differs from the contract's by more is resampled, and said."""

IRREGULAR_SHARE, IRREGULAR_STEP = 0.05, 0.5
"""Of more steps than this share that differ from the period by more than this part of it, a regular grid is made."""

SLOWER, FASTER = 3.0, 25.0
"""How many times slower or faster than the contract's period a pacing stream may run before an import is refused."""

_EXACT_SHARE = 0.5  # commands that carry the stamps of observations are a controller's; a demonstrator's never do
_MERGED_NS = 1_000_000_000  # streams that step within this time do so for one clock; what is between is left out


@dataclass(frozen=True)
class Clock:
    """The stream that sets the rows: its stamps, when they were recorded, and whether they are headers'."""

    label: str
    stamps_ns: np.ndarray
    log_ns: np.ndarray
    by_header: bool
    stale_after_s: float
    rate_hz: float


@dataclass(frozen=True)
class Rows:
    """Rows of one stretch of a recording, before holes are cut.

    `stamps_ns` and `log_ns` are int64 [T]: of the observation's clock and of the recorder's. `observation` is float64
    [T, observations], NaN where nothing fresh was known. `silent` names, for each row in which something was missing,
    the stream that was ("" where nothing was); `breaks` are rows before which the pacing stream was silent.
    """

    stamps_ns: np.ndarray
    log_ns: np.ndarray
    observation: np.ndarray
    silent: np.ndarray
    breaks: np.ndarray
    ages_s: np.ndarray

    def part(self, which: slice) -> "Rows":
        """Some rows."""
        return Rows(
            self.stamps_ns[which],
            self.log_ns[which],
            self.observation[which],
            self.silent[which],
            self.breaks[which],
            self.ages_s[which],
        )


def segments(where: str, contract: Contract, found: Extracted) -> list[Extracted]:
    """A recording without the steps of its clocks: cut where the header stamps of any observation step.

    The observations of each are in the order of their stamps; late messages are left out under `sync: latest`, as the
    controller does, and find their place under `same_stamp`. Raises DatasetError where a clock steps all the time.
    """
    steps = sorted(
        (shift for series in found.observation for shift in shifts(where, series)), key=lambda each: each.log_ns
    )
    bounds: list[list] = []  # the last log time before, the first after, why
    for step in steps:
        if bounds and step.log_ns - bounds[-1][1] <= _MERGED_NS:
            bounds[-1][1] = step.log_ns
            bounds[-1][2] += f" and {step}" if str(step) not in bounds[-1][2] else ""
        else:
            bounds.append([step.before_ns, step.log_ns, str(step)])
    result, first_ns = [], found.first_ns
    late = contract.require_binding().sync == "latest"
    for before_ns, after_ns, why in [*bounds, [found.last_ns, 0, ""]]:
        observation = [ordered(each.between(first_ns, before_ns), late) for each in found.observation]
        answered_ns = after_ns - 1 if after_ns else before_ns  # the last row is answered after it was recorded
        commands = [each.between(first_ns, answered_ns) for each in found.command]
        result.append(Extracted(observation, commands, first_ns, before_ns, found.notes, why))
        first_ns = after_ns
        found = _counted(found)
    return result


def _counted(found: Extracted) -> Extracted:
    """The same, without messages that were left out: they were counted with the first segment."""
    observation, command = (
        [replace(each, left_out=0, why="") for each in members] for members in (found.observation, found.command)
    )
    return replace(found, observation=observation, command=command)


def pacing(where: str, contract: Contract, observation: list[Series]) -> Clock:
    """What sets the rows: the first stream of `latest`, or the stamps that all streams of `same_stamp` have.

    Raises:
        DatasetError: the stamps of two streams are of two clocks, or never agree.
    """
    first = observation[0]
    if first.timeless:
        raise DatasetError(f"{where}: {first.label}: found a pose that never moves, expected a first stream that paces")
    headed = [series for series in observation if series.by_header and not series.timeless]
    for series in headed:
        off_s = apart_s(series, headed[0])
        if abs(off_s) > max(CLOCKS_APART_S, series.stale_after_s):
            side = "ahead of" if off_s > 0 else "behind"
            raise DatasetError(
                f"{where}: {series.label}: found stamps {abs(off_s):.3f} s {side} those of {headed[0].label}, expected "
                f"one clock; {STAMP_ARRIVAL}"
            )
    if contract.require_binding().sync == "latest" or len(observation) == 1:
        return Clock(first.label, first.stamps_ns, first.log_ns, first.by_header, first.stale_after_s, first.rate_hz)
    common = first.stamps_ns
    for series in observation[1:]:
        common = common if series.timeless else np.intersect1d(common, series.stamps_ns)
    common = np.unique(common)
    if not len(common):
        newest = [(series.label, int(series.stamps_ns[-1])) for series in observation]
        listed = ", ".join(f"{label} {1e-9 * stamp:.4f} s" for label, stamp in newest)
        raise DatasetError(
            f"{where}: found no stamp that all observation streams have (last: {listed}), expected some under sync: "
            "same_stamp; where they are not measured together, write `sync: latest` in the contract"
        )
    logs = np.max([_at(series, common)[1] for series in observation if not series.timeless], axis=0)
    in_time = logs <= np.minimum.accumulate(logs[::-1])[::-1]  # a newer one that is whole before it takes its place
    common, logs = common[in_time], logs[in_time]
    steps = np.diff(common)
    rate = 1e9 / float(np.median(steps)) if steps.size else 0.0
    stale = min(series.stale_after_s for series in observation)
    label = " and ".join(series.label for series in observation[:2]) + (" and others" if len(observation) > 2 else "")
    return Clock(label, common, logs, first.by_header, stale, rate)


def _at(series: Series, stamps_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places, recording times) of the last messages with exactly these stamps, which it has."""
    places = np.searchsorted(series.stamps_ns, stamps_ns, side="right") - 1
    return places, series.log_ns[places]


def rate_problem(contract: Contract, clock: Clock) -> tuple[str, bool]:
    """(sentence, whether the import should be refused) on the pacing stream's rate; ("", False) where it fits."""
    wanted = 1.0 / contract.period_s
    if not clock.rate_hz:
        return "", False
    if abs(clock.rate_hz - wanted) <= RATE_SHARE * wanted:
        steps = np.diff(np.unique(clock.stamps_ns)) * 1e-9
        share = float((np.abs(steps - contract.period_s) > IRREGULAR_STEP * contract.period_s).mean())
        if share <= IRREGULAR_SHARE:
            return "", False
        low, high = (1e3 * contract.period_s * (1.0 + sign * IRREGULAR_STEP) for sign in (-1, 1))
        return f"{clock.label}: {100 * share:.3g} % of its steps are outside {low:.4g} to {high:.4g} ms", False
    sentence = f"{clock.label} was recorded at {clock.rate_hz:.3g} Hz, the contract runs at {wanted:.3g} Hz"
    refused = clock.rate_hz * SLOWER < wanted or clock.rate_hz > FASTER * wanted
    return sentence, refused


def rows(contract: Contract, observation: list[Series], clock: Clock, start_ns: int, end_ns: int) -> Rows | None:
    """Rows of what was recorded from `start_ns` to `end_ns` (recorder's clock); None where nothing paced.

    The pacing stream's stamps are the rows where it runs at the contract's rate, else a grid from its first stamp on.
    As for a controller, rows that are `GAP_PERIODS` apart do not belong together, and under `sync: latest` a message of
    another stream counts for a row only if it had been recorded by then.
    """
    inside = (clock.log_ns >= start_ns) & (clock.log_ns <= end_ns)
    stamps, logs = clock.stamps_ns[inside], clock.log_ns[inside]
    if not len(stamps):
        return None
    latest = contract.require_binding().sync == "latest"
    if rate_problem(contract, clock)[0]:
        count = int((stamps[-1] - stamps[0]) * 1e-9 / contract.period_s + 1e-6) + 1
        stamps = stamps[0] + np.round(np.arange(count) * (contract.period_s * 1e9)).astype(np.int64)
        source = observation[0] if latest else clock
        logs = log_of(source, stamps)  # type: ignore[arg-type]
        breaks = np.zeros(count, bool)
    else:
        kept = np.append(np.diff(stamps) > 0, True)  # of two messages of one stamp the last counts
        stamps, logs = stamps[kept], logs[kept]
        longest_s = min(clock.stale_after_s, GAP_PERIODS * contract.period_s)
        breaks = np.diff(stamps, prepend=stamps[0]) > 1e9 * longest_s
    values = np.full((len(stamps), contract.frame_size), np.nan)
    if contract.age_place is not None:
        values[:, contract.age_place] = 0.0
    silent, ages = np.full(len(stamps), "", dtype=object), np.full((len(stamps), len(observation)), np.nan)
    for number, each in enumerate(observation):
        series = each if latest else _complete(each, clock)
        by_header = clock.by_header and series.by_header
        times = stamps if by_header else logs
        if latest and number:
            places, fresh = heard(series, series.clock(by_header), times, logs)
        else:
            places, fresh = asof(series, series.clock(by_header), times)
        values[:, list(series.indices)] = np.where(fresh[:, None], series.values[places], np.nan)
        silent[~fresh & (silent == "")] = series.label
        if not series.timeless:
            ages[:, number] = np.where(fresh, 1e-9 * (times - series.clock(by_header)[places]), np.nan)
    return Rows(stamps, logs, values, silent, breaks, ages)


def heard(series: Series, times_ns: np.ndarray, at_ns: np.ndarray, log_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `asof`, of the last message that was recorded by `log_ns`; its age is judged by `times_ns` and `at_ns`."""
    places = np.searchsorted(series.log_ns, log_ns, side="right") - 1
    if series.timeless:
        return np.maximum(places, 0), np.ones(len(at_ns), bool)
    known, places = places >= 0, np.maximum(places, 0)
    return places, known & (at_ns - times_ns[places] <= round(1e9 * series.stale_after_s))


def _complete(series: Series, clock: Clock) -> Series:
    """What a stream of `same_stamp` said at the stamps that all streams have."""
    if series.timeless:
        return series
    places, _ = _at(series, clock.stamps_ns)
    return replace(series, stamps_ns=clock.stamps_ns, log_ns=clock.log_ns, values=series.values[places])


def asof(series: Series, times_ns: np.ndarray, at_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places, fresh): for each time the last message not after it, and whether it is fresh enough.

    `times_ns` are the series' own times on the clock of `at_ns`. What is timeless is always fresh.
    """
    places = np.searchsorted(times_ns, at_ns, side="right") - 1
    if series.timeless:
        return np.maximum(places, 0), np.ones(len(at_ns), bool)
    known = places >= 0
    places = np.maximum(places, 0)
    return places, known & (at_ns - times_ns[places] <= round(1e9 * series.stale_after_s))


def answers(
    contract: Contract, command: Series, clock: Clock, found: Rows
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values float64 [T, scalars], fresh [T], delays_s [answered]): the command that answered each row.

    That is the one that carries the row's stamp, where commands carry the observations' stamps; else the first that was
    recorded within one period after the row, a demonstrator's answer, for stamps of two machines are not compared; else
    the last one before it, while it holds. A delay is the time from the recording of a row to that of its answer.
    """
    if carries(command, clock):
        return _carried(contract, command, found)
    order = np.argsort(command.log_ns, kind="stable")
    times, at = command.log_ns[order], found.log_ns
    soon, inside = _soon(contract, times, at)
    before, fresh = asof(command, times, at)
    places = np.where(soon, inside, before)
    delays = 1e-9 * (times[inside] - at)[times[inside] >= at]
    return command.values[order[places]], soon | fresh, delays


def _carried(contract: Contract, command: Series, found: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `answers`, of commands that carry the rows' stamps.

    Those of stamp 0 among them, what a controller sends at a stop, count by when they were recorded, as rows do: no
    clock is compared with another. They answer rows that no stamp answers.
    """
    stamped = command.stamped
    order = np.argsort(stamped.stamps_ns, kind="stable")
    times, logs, at = stamped.stamps_ns[order], stamped.log_ns[order], found.stamps_ns
    before, fresh = asof(stamped, times, at)
    exact = (times[before] == at) & (np.searchsorted(times, at, side="right") > 0)
    delays = 1e-9 * (logs[before] - found.log_ns)[exact]
    values, known = stamped.values[order[before]], exact | fresh
    if command.unstamped is None or not command.unstamped.any():
        return values, known, delays
    others = command.taken(command.unstamped)
    soon, inside = _soon(contract, others.log_ns, found.log_ns)
    last, holds = asof(others, others.log_ns, found.log_ns)
    holds &= ~fresh | (others.log_ns[last] > logs[before])
    unanswered = ~exact & (soon | holds)
    values[unanswered] = others.values[np.where(soon, inside, last)[unanswered]]
    return values, known | unanswered, delays


def _soon(contract: Contract, times_ns: np.ndarray, at_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(bool [T], places): whether anything of sorted times comes within a period after each, and the first of it."""
    after = np.searchsorted(times_ns, at_ns, side="left")
    inside = np.minimum(after, len(times_ns) - 1)
    return (after < len(times_ns)) & (times_ns[inside] - at_ns < round(1e9 * contract.period_s)), inside


def carries(command: Series, clock: Clock) -> bool:
    """Whether commands carry the stamps of the observations that they answer, and so were recorded after those."""
    command = command.stamped
    if not (clock.by_header and command.by_header and len(command.stamps_ns)):
        return False
    places = np.minimum(np.searchsorted(clock.stamps_ns, command.stamps_ns), len(clock.stamps_ns) - 1)
    exact = clock.stamps_ns[places] == command.stamps_ns
    if exact.mean() < _EXACT_SHARE:
        return False
    return float(np.median((command.log_ns - clock.log_ns[places])[exact])) >= 0.0


def ahead_s(series: Series, clock: Clock) -> float | None:
    """By how much header stamps are ahead of the pacing stream's, s, against the recorder's clock; None without."""
    series = series.stamped
    if not (clock.by_header and series.by_header and len(series.stamps_ns)) or series.timeless:
        return None
    return apart_s(series, Series(clock.label, (), clock.stamps_ns, clock.log_ns, np.empty((0, 0)), True))


@dataclass(frozen=True)
class Hole:
    """Time inside a stretch in which a stream was silent: between two rows, `ms` long, `at_s` after the first row."""

    label: str
    ms: float
    at_s: float

    def __str__(self) -> str:
        return f"{self.ms:,.0f} ms without {self.label} at {self.at_s:.2f} s"


@dataclass(frozen=True)
class Pieces:
    """What is left of rows without their holes: slices of rows, holes between them, ms without data at either end."""

    slices: list[slice]
    holes: list[Hole]
    late: tuple[str, float]
    early: tuple[str, float]


def pieces(found: Rows, usable: np.ndarray, silent: np.ndarray, clock_label: str) -> Pieces:
    """Cut rows where not `usable` (bool [T]) or after a break; `silent` (object [T]) names who was missing."""
    places = np.flatnonzero(usable)
    if not len(places):
        label = next((each for each in silent if each), clock_label)
        return Pieces([], [], (label, _ms(found.log_ns, 0, len(usable) - 1)), ("", 0.0))
    late = (silent[0], _ms(found.log_ns, 0, places[0])) if places[0] else ("", 0.0)
    end = len(usable) - 1
    early = (silent[end], _ms(found.log_ns, places[-1], end)) if places[-1] < end else ("", 0.0)
    slices, holes, begin = [], [], int(places[0])
    for previous, place in pairwise(places.tolist()):
        is_hole = place != previous + 1
        if is_hole or found.breaks[place]:
            slices.append(slice(begin, previous + 1))
            label = silent[previous + 1] if is_hole else clock_label
            at_s = 1e-9 * float(found.log_ns[previous] - found.log_ns[0])
            holes.append(Hole(label, _ms(found.stamps_ns, previous, place), at_s))
            begin = place
    slices.append(slice(begin, int(places[-1]) + 1))
    return Pieces(slices, holes, late, early)


def _ms(times_ns: np.ndarray, first: int, last: int) -> float:
    return 1e-6 * float(times_ns[last] - times_ns[first])
