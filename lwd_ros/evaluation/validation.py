"""A run on demonstrations that it never saw: one-step errors of its policies, and what they do outside the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lwd_ros.contract import outputs_of, stacked
from lwd_ros.dataset import DatasetError, Demonstrations, Episode
from lwd_ros.evaluation.outside import edges, outside
from lwd_ros.learning.codec import decode, encode, sample
from lwd_ros.learning.facts import rest_values, resting_frames
from lwd_ros.learning.run_folder import read_run
from lwd_ros.learning.train import TrainedRun
from lwd_ros.policy import Policy

KINDS = ("decoded", "sampled", "rest", "mean")
"""The policy decoded from the demonstration's own latent; one sampled for its task; the command at rest; and the
task's mean command: the last two are what any policy must beat."""

_CONSTANT = 1e-9  # a command that never changes in a task is its own mean, but for rounding
_WORST = 5  # moments that are told


@dataclass(frozen=True)
class Replay:
    """A demonstration, and what would be commanded on its recorded observations, one step at a time.

    Attributes:
        task, place: which demonstration of the dataset.
        episode: as recorded; observations have their age where policies are told it.
        commands: float64 [T, commands] by KINDS, within the contract's limits, in its units.
        resting: bool [T, commands], where the recorded command is at rest.
        policies: by "decoded" and "sampled".
    """

    task: str
    place: int
    episode: Episode
    commands: Mapping[str, np.ndarray]
    resting: np.ndarray
    policies: Mapping[str, Policy]

    def error(self, kind: str) -> np.ndarray:
        """Absolute errors, float64 [T, commands], in the commands' units."""
        return np.abs(self.commands[kind] - self.episode.action)


def unseen(run: TrainedRun, folder: Path, data: Path | None = None) -> tuple[dict[str, dict[int, Episode]], list[str]]:
    """The demonstrations to validate on, by task and place in their dataset, and sentences about the choice.

    Args:
        run: finished.
        folder: its run folder, which says where its dataset was.
        data: where that is now, or another dataset of the same contract: of that, every demonstration.

    Raises:
        DatasetError: there is none: nothing was held out, or the dataset has other tasks or another contract.
    """
    place = Path(data or read_run(folder)["data"])
    found = Demonstrations(place)
    contract = run.data.contract
    if contract.age_place is not None and found.contract.age_place is None:
        found = found.with_age(contract.observation[contract.age_place].maximum)
    if found.contract.digest != contract.digest:
        raise DatasetError(
            f"{place}: follows contract {found.contract.digest[:12]}, expected {contract.digest[:12]}, that of {folder}"
        )
    if found.digest == run.data.digest:
        if not run.data.held_out:
            raise DatasetError(
                f"{folder}: was trained on every demonstration of {place}, expected some held out ('held_out' in the "
                "config; without a config one in ten, from ten of a task up) or another dataset by --data"
            )
        chosen = {
            task: {number: found.episodes[task][number] for number in places}
            for task, places in run.data.held_out.items()
        }
        notes = [f"Demonstrations of {place} that training never saw."]
        bare = [task for task in found.tasks if task not in chosen]
        if bare:
            notes.append(f"Tasks of which none is held out, so not looked at: {', '.join(bare)}.")
        return chosen, notes
    chosen = {task: dict(enumerate(found.episodes[task])) for task in found.tasks if task in run.data.tasks}
    if not chosen:
        raise DatasetError(
            f"{place}: has the tasks {', '.join(found.tasks)}; {folder} knows {', '.join(run.data.tasks)}"
        )
    notes = [f"All demonstrations of {place}, which is not the dataset that the run was trained on."]
    strange = [task for task in found.tasks if task not in chosen]
    if strange:
        notes.append(f"Tasks that the run does not know, so not looked at: {', '.join(strange)}.")
    return chosen, notes


def replayed(run: TrainedRun, demonstrations: Mapping[str, Mapping[int, Episode]], seed: int = 1) -> list[Replay]:
    """Replay demonstrations of the run's tasks; seeds of sampled policies count up from `seed`."""
    contract, limits = run.data.contract, run.data.contract.command_limits
    replays: list[Replay] = []
    everything = np.concatenate([e.action for episodes in demonstrations.values() for e in episodes.values()])
    widths = np.ptp(everything, axis=0)
    for task, episodes in demonstrations.items():
        rows = list(episodes.values())
        first = np.stack([e.observation[0] for e in rows])
        if contract.age_place is not None:  # a policy is generated from an observation, however old
            first[:, contract.age_place] = 0.0
        seeds = range(seed + len(replays), seed + len(replays) + len(rows))
        policies = {
            "decoded": decode(run, encode(run, rows), task, first),
            "sampled": decode(run, sample(run, task, seeds, first), task, first),
        }
        action = np.concatenate([e.action for e in rows])
        observation = np.concatenate([e.observation for e in rows])
        places = range(len(contract.command))
        resting = np.stack([resting_frames(contract, p, observation, action, widths[p]) for p in places], axis=1)
        ends = np.cumsum([len(e.action) for e in rows])
        for row, (number, episode) in enumerate(episodes.items()):
            commands = {kind: commanded(run, made[row], episode) for kind, made in policies.items()}
            rests = [rest_values(contract, place, episode.observation, episode.action) for place in places]
            commands["rest"] = np.clip(np.stack(rests, axis=1), *limits)
            commands["mean"] = np.tile(action.mean(axis=0), (len(episode.action), 1))
            still = resting[ends[row] - len(episode.action) : ends[row]]
            made_here = {kind: made[row] for kind, made in policies.items()}
            replays.append(Replay(task, number, episode, commands, still, made_here))
    return replays


def commanded(run: TrainedRun, policy: Policy, episode: Episode) -> np.ndarray:
    """What a policy commands on each recorded observation, float64 [T, commands], within the limits.

    An offset counts from the recorded measurement or command; the slew limit is left out, for the steps do not follow
    one another.
    """
    contract = run.data.contract
    vectors, out = stacked(contract, episode.observation), np.empty(episode.action.shape)
    for vector, row in zip(vectors, out, strict=True):
        policy.forward(vector, row)
    out += episode.action - outputs_of(contract, episode.action, episode.observation)
    return np.clip(out, *contract.command_limits)


def validate(run: TrainedRun, replays: Sequence[Replay], notes: Sequence[str] = ()) -> dict:
    """Everything that can be said of `replays`, as plain data: errors by task and command, worst moments, sentences."""
    contract = run.data.contract
    tasks = {}
    for task in dict.fromkeys(replay.task for replay in replays):
        own = [replay for replay in replays if replay.task == task]
        tasks[task] = {
            "demonstrations": [replay.place for replay in own],
            "frames": sum(len(replay.episode.action) for replay in own),
            "commands": {
                scalar.name: {"unit": scalar.unit} | _errors(own, place)
                for place, scalar in enumerate(contract.command)
            },
        }
    sentences = [
        *notes,
        "Errors are of one step at a time, on recorded observations: in closed loop a robot sees what its own commands "
        "lead to, and small errors can add up. Only an evaluation says whether tasks succeed.",
        *_against_baselines(tasks),
        *outside(run.data, replays),
    ]
    return {
        "run": run.config.name,
        "dataset": run.data.digest,
        "one_step": True,
        "tasks": tasks,
        "worst": _worst(run, replays),
        "edges": edges(run.data, replays),
        "sentences": sentences,
    }


def _errors(replays: Sequence[Replay], place: int) -> dict:
    """Of one command: mean, 95th percentile and maximum of the absolute error by kind, all frames, motion and rest."""
    resting = np.concatenate([replay.resting[:, place] for replay in replays])
    result: dict = {"rest_share": round(float(resting.mean()), 4)}
    for kind in KINDS:
        error = np.concatenate([replay.error(kind)[:, place] for replay in replays])
        result[kind] = {
            name: _summary(error[rows])
            for name, rows in (("all", slice(None)), ("motion", ~resting), ("rest", resting))
        }
    return result


def _summary(errors: np.ndarray) -> dict | None:
    if not errors.size:
        return None
    values = {"mean": errors.mean(), "p95": np.quantile(errors, 0.95), "max": errors.max()}
    return {name: float(f"{value:.5g}") for name, value in values.items()}


def _against_baselines(tasks: Mapping[str, dict]) -> list[str]:
    """A sentence on the commands in motion that a policy predicts no better than rest or the mean."""
    lost = []
    for task, entry in tasks.items():
        for name, found in entry["commands"].items():
            mine = found["sampled"]["motion"]
            others = [found[kind]["motion"] for kind in ("rest", "mean")]
            if (
                mine is not None
                and others[1]["mean"] > _CONSTANT
                and mine["mean"] >= 0.8 * min(each["mean"] for each in others)
            ):
                lost.append(f"{name} of '{task}'")
    if not lost:
        return ["In motion, sampled policies are nearer to every command than standing still and the mean command."]
    shown = ", ".join(lost[:6]) + (f" and {len(lost) - 6} more" if len(lost) > 6 else "")
    return [f"In motion, sampled policies hardly beat standing still or the mean command: {shown}. Expect failures."]


def _worst(run: TrainedRun, replays: Sequence[Replay]) -> list[dict]:
    """The largest errors of sampled policies, in shares of a command's recorded width, one for each demonstration."""
    contract, data = run.data.contract, run.data
    action = np.concatenate([replay.episode.action for replay in replays])
    width = np.maximum(np.ptp(action, axis=0), 1e-9)
    moments: list[dict[str, Any]] = []
    for replay in replays:
        share = replay.error("sampled") / width
        step, place = np.unravel_index(int(share.argmax()), share.shape)
        vector = stacked(contract, replay.episode.observation)[step]
        policy = replay.policies["sampled"]
        unusual = np.abs(vector[policy.observation_indices] - policy.observation_mean) / policy.observation_std
        names = [contract.vector_names[i] for i in data.indices.tolist()]
        units = [contract.observation[i % contract.frame_size].unit for i in data.indices.tolist()]
        seen = {
            f"{names[i]} [{units[i]}]": round(float(vector[policy.observation_indices[i]]), 5)
            for i in np.argsort(-unusual)[:3]
        }
        moments.append(
            {
                "task": replay.task,
                "demonstration": replay.place,
                "second": round(float(step * contract.period_s), 4),
                "command": contract.command[place].name,
                "unit": contract.command[place].unit,
                "recorded": round(float(replay.episode.action[step, place]), 5),
                "predicted": round(float(replay.commands["sampled"][step, place]), 5),
                "share_of_width": round(float(share.max()), 4),
                "most_unusual_seen": seen,
            }
        )
    return sorted(moments, key=lambda moment: -moment["share_of_width"])[:_WORST]
