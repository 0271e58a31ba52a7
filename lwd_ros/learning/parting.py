"""Whether demonstrations that are at the same place go on in different ways: what no single policy can follow."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from lwd_ros.dataset import Episode

SEVERAL = 0.45
"""A larger share of meetings after which two part tells of several ways. One way has had up to 0.37, two 0.51."""

_EPISODES, _FRAMES = 60, 12  # of a task, at most; frames of each, evenly spaced
_AHEAD = 8  # a look ahead is this part of an episode
_NEAR = 0.25  # of what is travelled meanwhile: frames that are closer are at the same place
_APART = 0.7  # of what is travelled meanwhile, and of the commands' deviation: who differs more then has parted
_MEETINGS = 20  # fewer tell nothing


def parting_share(episodes: Sequence[Episode]) -> float | None:
    """Of the meetings of two demonstrations of a task, the share after which they part, where that is largest.

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
    meet = (cdist(start, start) < _NEAR * both) & (whose[:, None] < whose)
    apart = cdist(end, end) > _APART * both
    otherwise = cdist(does, does) > _APART * np.sqrt(max(does.shape[1], 1))
    shares = []
    for each in range(_FRAMES):
        rows = np.array(part) == each
        meetings = meet[rows]
        if meetings.sum() >= _MEETINGS:
            shares.append(float((apart & otherwise)[rows][meetings].mean()))
    return max(shares, default=None)


def _units(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which columns of [frames, scalars] vary, and the deviations of those."""
    std = values.std(axis=0)
    return std > 1e-9, std[std > 1e-9]
