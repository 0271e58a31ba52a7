"""Paths of the hand through space, and how far apart two of them, or two sets of them, are."""

import numpy as np

from lwd_ros.contract import Contract, ContractError
from lwd_ros.environments.episode import Outcome

HAND = ("hand_x", "hand_y", "hand_z")
POINTS = 50
"""Points that paths are compared at."""


def hand_path(contract: Contract, observations: np.ndarray) -> np.ndarray:
    """float64 [T, 3] in m: where the hand was in observations [T, observations]; ContractError where none tells."""
    for name in HAND:
        if name not in contract.observation_names:
            raise ContractError(f"contract: key 'observation.{name}': found nothing, expected the hand's position")
    return observations[:, [contract.observation_names.index(name) for name in HAND]]


def observed(outcome: Outcome) -> np.ndarray:
    """float64 [T, observations] of an episode, which must have been recorded."""
    if outcome.record is None:
        raise ValueError("found an episode without a record, expected one that was recorded")
    return outcome.record.observations


def length(path: np.ndarray) -> float:
    """Of a path [T, 3], in its unit."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def resample(path: np.ndarray, points: int = POINTS) -> np.ndarray:
    """float64 [points, 3]: a path [T, 3] at equal steps of arc length, so that who is slower is not farther away."""
    travelled = np.concatenate([[0.0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    wanted = np.linspace(0.0, travelled[-1], points)
    return np.stack([np.interp(wanted, travelled, axis) for axis in path.T], axis=1)


def mean_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float64 [N, M]: mean distance of corresponding points between paths [N, points, 3] and [M, points, 3]."""
    return np.linalg.norm(first[:, None] - second[None], axis=3).mean(axis=2)


def rms_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float64 [N, M]: root mean square distance of corresponding points: Euclidean between whole paths.

    Unlike the mean it is of strictly negative type, so that an energy distance of 0 means equal distributions of whole
    paths, not of each point alone (Székely & Rizzo 2013, doi 10.1016/j.jspi.2013.03.018).
    """
    return np.sqrt((np.linalg.norm(first[:, None] - second[None], axis=3) ** 2).mean(axis=2))


def energy_distance(between: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of two samples, unbiased, in the unit of the distances.

    `between` [N, M], `first` [N, N] and `second` [M, M] are distances between samples and within each; N, M >= 2. No
    sample is compared with itself, so that equal distributions give 0 on average, and sometimes less.
    """
    within = [values.sum() / (len(values) * (len(values) - 1)) for values in (first, second)]
    return float(2.0 * between.mean() - sum(within))


def split_energy_distances(expert: np.ndarray, other: np.ndarray, splits: int, seed: int) -> tuple[float, float]:
    """Energy distance of two sets of paths on the same layouts, and its noise floor.

    Layouts are halved at random `splits` times. The distance is the mean of that between `expert` on one half and
    `other` on the other half. The floor is the 95th percentile of that between `expert` on one half and `expert` on the
    other: what different layouts alone make of it. Both are [N, points, 3] in the same order of layouts, N >= 4; an odd
    one is left out of each halving.
    """
    rng, half = np.random.default_rng(seed), len(expert) // 2
    own, theirs, across = rms_distances(expert, expert), rms_distances(other, other), rms_distances(expert, other)
    results = []
    for _ in range(splits):
        order = rng.permutation(len(expert))
        a, b = order[:half], order[half : 2 * half]
        within = own[np.ix_(a, a)]
        results.append(
            (
                energy_distance(across[np.ix_(a, b)], within, theirs[np.ix_(b, b)]),
                energy_distance(own[np.ix_(a, b)], within, own[np.ix_(b, b)]),
            )
        )
    measured, floors = np.array(results).T
    return float(measured.mean()), float(np.quantile(floors, 0.95))


def millimetres(path: np.ndarray, points: int = 20) -> list[list[int]]:
    """A path in m, for a JSON: [points] of whole millimetres [x, y, z]."""
    return (1e3 * resample(path, points)).round().astype(int).tolist()
