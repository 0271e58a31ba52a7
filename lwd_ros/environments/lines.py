"""Smooth lines through corners, and who follows them without a memory: scripted demonstrators go along these."""

import numpy as np


def rounded(corners: np.ndarray, spacing: float, smoothing: float) -> np.ndarray:
    """The line through `corners`, its corners rounded, its ends in place.

    Args:
        corners: float64 [corners, axes], m; two at least, no two neighbours at one place.
        spacing: of the line's points, m.
        smoothing: standard deviation of the bell that rounds the corners, m along the line.

    Returns:
        float64 [points, axes], m, evenly spaced.
    """
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    at = np.linspace(0.0, lengths[-1], round(lengths[-1] / spacing) + 1)
    axes = range(corners.shape[1])
    points = np.stack([np.interp(at, lengths, corners[:, axis]) for axis in axes], axis=1)
    half = min(round(3.0 * smoothing / spacing), len(points) - 1)
    bell = np.exp(-0.5 * (np.arange(-half, half + 1) * spacing / smoothing) ** 2)
    # Mirrored at both ends, so that these stay where they are.
    before, after = 2.0 * points[0] - points[half:0:-1], 2.0 * points[-1] - points[-2 : -half - 2 : -1]
    padded = np.concatenate([before, points, after])
    return np.stack([np.convolve(padded[:, axis], bell / bell.sum(), mode="valid") for axis in axes], axis=1)


def heading(line: np.ndarray, place: np.ndarray, ahead: int) -> np.ndarray | None:
    """The vector from `place`, [axes], to the point that is `ahead` points after the one of `line` nearest to it, in m.

    None where the line, [points, axes], ends before that.
    """
    nearest = int(np.argmin(((line - place) ** 2).sum(axis=1)))
    return line[nearest + ahead] - place if nearest + ahead < len(line) else None
