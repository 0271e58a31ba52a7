"""What generated policies do where nothing was demonstrated: beyond and at the edges of the training range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lwd_ros.contract import stacked
from lwd_ros.learning.summary import DataSummary

if TYPE_CHECKING:
    from lwd_ros.evaluation.validation import Replay

MARGIN = 0.25
"""Of the range's width, on either side: the margin of the policy's own check, `Policy.outside_training_range`."""

_SATURATED = 0.01  # of a command's width, from its limit


def outside(data: DataSummary, replays: Sequence[Replay]) -> list[str]:
    """Sentences: whether the controller's check would flag recorded observations, and what comes at the edges."""
    return [_flagged(data, replays), *_at_edges(data, replays)]


def _flagged(data: DataSummary, replays: Sequence[Replay]) -> str:
    """Whether the recorded observations lie outside the training range, as the controller checks it each tick."""
    frames = flagged = 0
    episodes = 0
    which: Counter[str] = Counter()
    for replay in replays:
        policy = replay.policies["sampled"]
        masks = np.stack(
            [policy.outside_training_range(row) for row in stacked(data.contract, replay.episode.observation)]
        )
        frames, flagged = frames + len(masks), flagged + int(masks.any(axis=1).sum())
        episodes += bool(masks.any())
        for place in np.flatnonzero(masks.any(axis=0)):
            which[data.contract.vector_names[policy.observation_indices[place]]] += 1
    if not flagged:
        return (
            f"None of {frames} recorded observations lies far outside the training range: "
            "stop_outside_training_range would have stopped none of these demonstrations."
        )
    names = ", ".join(f"{name} (in {count})" for name, count in which.most_common(5))
    return (
        f"{flagged} of {frames} recorded observations lie far outside the training range: stop_outside_training_range "
        f"would have stopped {episodes} of {len(replays)} demonstrations, for {names}. More varied demonstrations "
        "would widen the range."
    )


def edges(data: DataSummary, replays: Sequence[Replay]) -> dict:
    """The outputs at the edges that the check lets through: one scalar as far out as it may be, others as in a frame.

    The frame is the recorded one nearest to the task's means; policies are the sampled ones, one a task. For each
    command, in its unit (of an offset: the offset): lowest and highest output, how many of the edges lead beyond the
    command's range, and which scalar leads furthest from the output in the frame.
    """
    contract = data.contract
    low, high = (data.action_offset - data.action_scale).numpy(), (data.action_offset + data.action_scale).numpy()
    found: dict = {scalar.name: _Edge() for scalar in contract.command}
    for task in dict.fromkeys(replay.task for replay in replays):
        own = [replay for replay in replays if replay.task == task]
        policy = own[0].policies["sampled"]
        vectors = np.concatenate([stacked(contract, replay.episode.observation) for replay in own])
        inputs = (vectors[:, policy.observation_indices] - policy.observation_mean) / policy.observation_std
        frame = vectors[int((inputs**2).sum(axis=1).argmin())].astype(np.float64)
        usual, out = policy.forward(frame, np.empty(len(contract.command))).copy(), np.empty(len(contract.command))
        slack = MARGIN * (policy.observation_maximum - policy.observation_minimum) + 0.01
        for input_place, place in enumerate(policy.observation_indices):
            for side, bound in (
                ("low", policy.observation_minimum - slack),
                ("high", policy.observation_maximum + slack),
            ):
                changed = frame.copy()
                changed[place] = bound[input_place]
                policy.forward(changed, out)
                for number, edge in enumerate(found.values()):
                    edge.add(out[number], usual[number], (low[number], high[number]),
                             f"{contract.vector_names[place]} {side} in '{task}'")  # fmt: skip
    return {
        scalar.name: {"unit": scalar.unit, "range": [float(low[place]), float(high[place])]}
        | found[scalar.name].content()
        for place, scalar in enumerate(contract.command)
    }


class _Edge:
    """One command over all edges."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.beyond, self.furthest, self.scalar = 0, -1.0, ""

    def add(self, value: float, usual: float, bounds: tuple[float, float], name: str) -> None:
        slack = _SATURATED * (bounds[1] - bounds[0])
        self.values.append(float(value))
        self.beyond += not bounds[0] - slack <= value <= bounds[1] + slack
        if abs(value - usual) > self.furthest:
            self.furthest, self.scalar = float(abs(value - usual)), name

    def content(self) -> dict:
        return {
            "lowest": round(min(self.values), 5),
            "highest": round(max(self.values), 5),
            "edges": len(self.values),
            "beyond_range": self.beyond,
            "furthest_by": self.scalar,
        }


def _at_edges(data: DataSummary, replays: Sequence[Replay]) -> list[str]:
    """A sentence for each command that leaves its range at some edge, or one that none does."""
    sentences = []
    for name, edge in edges(data, replays).items():
        if edge["beyond_range"]:
            low, high = edge["range"]
            limits = data.contract.command_limits[:, data.contract.command_names.index(name)]
            sentences.append(
                f"{name} leaves the range that it was trained in ({low:.3g} to {high:.3g} {edge['unit']}) at "
                f"{edge['beyond_range']} of {edge['edges']} edges of the training range, the furthest at "
                f"{edge['furthest_by']}: there policies ask for {edge['lowest']:.3g} to {edge['highest']:.3g}, and "
                f"only what lies beyond the contract's limits is cut off ({limits[0]:g} to {limits[1]:g})."
            )
    return sentences or [
        "At the edges of the training range, one scalar at a time, no command leaves the range that it was trained in."
    ]
