"""The statistics that LeRobot keeps beside its data: of each episode, and of all."""

from collections.abc import Sequence

import numpy as np

Statistics = dict[str, dict[str, list]]
"""By feature: min, max, mean, std, count and quantiles, each a list with a number for every scalar."""

_QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def of_columns(columns: dict[str, np.ndarray], features: dict[str, dict]) -> Statistics:
    """Of one episode, from arrays [T] or [T, size]; lerobot estimates quantiles from histograms, these are exact."""
    result: Statistics = {}
    for key in features:
        values = columns[key].astype(np.float64).reshape(len(columns[key]), -1)
        result[key] = {
            "min": values.min(axis=0).tolist(),
            "max": values.max(axis=0).tolist(),
            "mean": values.mean(axis=0).tolist(),
            "std": values.std(axis=0).tolist(),
            "count": [len(values)],
        }
        result[key] |= dict(
            zip(_QUANTILES, np.quantile(values, list(_QUANTILES.values()), axis=0).tolist(), strict=True)
        )
    return result


def merged(parts: Sequence[Statistics]) -> Statistics:
    """Of all episodes, as lerobot merges them: its quantiles are means of the episodes' quantiles."""
    result: Statistics = {}
    for key in parts[0]:
        names = {name: np.array([part[key][name] for part in parts], np.float64) for name in parts[0][key]}
        count, mean = names["count"], (names["mean"] * names["count"]).sum(axis=0) / names["count"].sum()
        variance = ((names["std"] ** 2 + (names["mean"] - mean) ** 2) * count).sum(axis=0) / count.sum()
        result[key] = {
            "min": names["min"].min(axis=0).tolist(),
            "max": names["max"].max(axis=0).tolist(),
            "mean": mean.tolist(),
            "std": np.sqrt(variance).tolist(),
            "count": [int(count.sum())],
        }
        result[key] |= {name: ((names[name] * count).sum(axis=0) / count.sum()).tolist() for name in _QUANTILES}
    return result
