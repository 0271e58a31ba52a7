"""Whether demonstrations that are at the same place go on in different ways: what no single policy can follow."""

from collections.abc import Sequence

import numpy as np

from lwd_ros.dataset import Episode

SEVERAL = 0.45
"""A larger share of meetings after which two part tells of several ways. One way has had up to 0.33, two 0.51."""

_EPISODES, _FRAMES = 60, 12  # of a task, at most; frames of each, evenly spaced
_AHEAD = 8  # a look ahead is this part of an episode
_NEAR = 0.25  # of what is travelled meanwhile: frames that are closer are at the same place
_APART = 0.7  # of what is travelled meanwhile, and of the commands' deviation: who differs more then has parted
_MEETINGS, _WITNESSES = 20, 8  # of so many demonstrations that meet another; fewer tell nothing


def parting_share(episodes: Sequence[Episode]) -> float | None:
    """Of the meetings of a task's demonstrations, the share after which they part, in the part of an episode with most.

    Two demonstrations meet where one observes nearly what the other does, near as against what each travels in an
    eighth of an episode from there. They part where their mean commands of that time differ, and they are far apart
    after it. Where one way is shown, they stay together; ways fork at one place, so each part of an episode counts by
    itself. Every scalar counts over its deviation in these episodes.

    Returns:
        None where too few of them meet to tell.
    """
    places = np.unique(np.linspace(0, len(episodes) - 1, _EPISODES).round().astype(int))
    chosen = [episodes[place] for place in places]
    observed, commanded = ([getattr(each, name) for each in chosen] for name in ("observation", "action"))
    (kept, unit), (used, command_unit) = (_units(np.concatenate(values)) for values in (observed, commanded))
    now, then, meanwhile, owner, part = [], [], [], [], []
    for number, (observation, action) in enumerate(zip(observed, commanded, strict=True)):
        ahead = len(action) // _AHEAD
        if not ahead:
            continue
        frames = np.linspace(0, len(action) - 1 - ahead, _FRAMES).round().astype(int)
        values, commands = observation[:, kept] / unit, action[:, used] / command_unit
        now.append(values[frames])
        then.append(values[frames + ahead])
        meanwhile.append(np.stack([commands[frame : frame + ahead].mean(axis=0) for frame in frames]))
        owner += [number] * len(frames)
        part += list(range(len(frames)))
    if not now:
        return None
    start, end, does, whose = np.concatenate(now), np.concatenate(then), np.concatenate(meanwhile), np.array(owner)
    travelled = np.linalg.norm(end - start, axis=1)
    both = 0.5 * (travelled[:, None] + travelled)
    meet = (_distances(start, start) < _NEAR * both) & (whose[:, None] < whose)
    apart = _distances(end, end) > _APART * both
    otherwise = _distances(does, does) > _APART * np.sqrt(max(does.shape[1], 1))
    shares = []
    for each in range(_FRAMES):
        rows = np.array(part) == each
        meetings, parts = meet[rows], (meet & apart & otherwise)[rows]
        both_ways = [np.bincount(whose[np.nonzero(m)[1]], minlength=len(chosen)) for m in (meetings, parts)]
        numbers = [
            np.bincount(whose[rows], m.sum(axis=1), len(chosen)) + n
            for m, n in zip((meetings, parts), both_ways, strict=True)
        ]
        met = numbers[0] > 0
        if (
            meetings.sum() >= _MEETINGS and met.sum() >= _WITNESSES
        ):  # each demonstration counts the same, so one alone makes no share
            shares.append(float((numbers[1][met] / numbers[0][met]).mean()))
    return max(shares, default=None)


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float64 [N, M]: Euclidean distances of rows [N, scalars] and [M, scalars]."""
    squared = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * first @ second.T
    return np.sqrt(np.maximum(squared, 0.0))


def _units(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which columns of [frames, scalars] vary, and the deviations of those."""
    std = values.std(axis=0)
    return std > 1e-9, std[std > 1e-9]
