"""One picture of a validation: predicted against recorded commands, a column for each task."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from lwd_ros.contract import Contract
from lwd_ros.evaluation.validation import Replay
from lwd_ros.files import written_whole

_COLUMNS, _ROWS = 6, 12
_LINES = {"decoded": ("#1f77b4", "decoded from it"), "sampled": ("#d95f02", "sampled for the task")}


def draw(contract: Contract, replays: Sequence[Replay], path: Path) -> None:
    """Write a PNG: of each task (the six worst) the demonstration that sampled policies predict worst, over time."""
    action = np.concatenate([replay.episode.action for replay in replays])
    width = np.maximum(np.ptp(action, axis=0), 1e-9)
    shares = [float((replay.error("sampled") / width).mean()) for replay in replays]
    worst: dict[str, int] = {}
    for place in np.argsort(shares)[::-1]:
        worst.setdefault(replays[place].task, int(place))
    tasks = list(worst)[:_COLUMNS]
    commands = contract.command[:_ROWS]
    figure, axes = plt.subplots(
        len(commands),
        len(tasks),
        figsize=(2.0 + 3.4 * len(tasks), 1.4 + 1.7 * len(commands)),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for column, task in enumerate(tasks):
        replay = replays[worst[task]]
        seconds = np.arange(len(replay.episode.action)) * contract.period_s
        for row, scalar in enumerate(commands):
            axis = axes[row, column]
            axis.plot(
                seconds, replay.episode.action[:, row], color="black", linewidth=2.0, alpha=0.55, label="recorded"
            )
            for kind, (colour, label) in _LINES.items():
                axis.plot(seconds, replay.commands[kind][:, row], color=colour, linewidth=1.1, label=label)
            axis.grid(alpha=0.25)
            if column == 0:
                axis.set_ylabel(f"{scalar.name}\n[{scalar.unit}]", fontsize=8)
            if row == 0:
                axis.set_title(f"{task}, demonstration {replay.place}", fontsize=9)
        axes[-1, column].set_xlabel("s")
    left_out = len(worst) - len(tasks)
    more = f"; {left_out} tasks with smaller errors are not shown" if left_out else ""
    if len(contract.command) > _ROWS:
        more += f"; the first {_ROWS} of {len(contract.command)} commands"
    title = f"Commands on recorded observations, one step at a time; of each task the worst{more}"
    figure.suptitle(textwrap.fill(title, 30 + 50 * (len(tasks) - 1)), fontsize=10)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)
