"""What is known of one entry of a study: its training seeds pooled, with intervals over all episodes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from lwd_ros.evaluation.evaluate import wilson_interval


@dataclass(frozen=True)
class Count:
    """Successes out of episodes."""

    successes: int
    episodes: int

    def __add__(self, other: "Count") -> "Count":
        return Count(self.successes + other.successes, self.episodes + other.episodes)

    @property
    def rate(self) -> float:
        """Success rate, 0 to 1."""
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval of the rate. It knows episodes, not how much training seeds differ."""
        return wilson_interval(self.successes, self.episodes)


def total(counts: Iterable[Count]) -> Count:
    """The sum of counts; episodes count alike, whatever task or seed they belong to."""
    return sum(counts, Count(0, 0))


@dataclass(frozen=True)
class Run:
    """One result file: one training seed.

    Attributes:
        tasks: count of each task, in the order of the set.
        generation_ms: median time from noise to a checked policy; None where nothing is generated.
        training_s: seconds of training; None where nothing is trained.
    """

    seed: int
    model_digest: str | None
    tasks: dict[str, Count]
    generation_ms: float | None = None
    training_s: float | None = None

    @property
    def total(self) -> Count:
        """All tasks together."""
        return total(self.tasks.values())


@dataclass(frozen=True)
class Entry:
    """One entry of a study, its seeds pooled.

    Attributes:
        name: of its files, `NAME_seedK.json`.
        set, goal, method: keys of the tables in `names`.
        hidden_layers: of the policy; None for the expert.
        demonstrations: per task, 0 for all of them; None for the expert.
        steps: optimiser steps of behaviour cloning; None for the expert.
        learning_rate: its peak; None where nothing was trained.
        groups: tables and plots that show it.
        layouts: validation or reporting.
        parameters: weights and biases of the policy; None for the expert.
        flops: per control step; None for the expert.
        runs: one per seed, by seed.
    """

    name: str
    set: str
    goal: str
    method: str
    hidden_layers: tuple[int, ...] | None
    demonstrations: int | None
    steps: int | None
    learning_rate: float | None
    groups: tuple[str, ...]
    layouts: str
    parameters: int | None
    flops: int | None
    runs: tuple[Run, ...] = field(default=())

    @property
    def total(self) -> Count:
        """All episodes of all seeds and tasks."""
        return total(run.total for run in self.runs)

    @property
    def folded_parameters(self) -> int | None:
        """Parameters once the task is fixed: the weights of a multi-task MLP's one-hot inputs become a bias."""
        if self.method != "multitask_mlp":
            return self.parameters
        return self.parameters - len(self.tasks) * self.hidden_layers[0]

    @property
    def tasks(self) -> dict[str, Count]:
        """Each task, seeds pooled."""
        return {task: total(run.tasks[task] for run in self.runs) for task in self.runs[0].tasks}

    @property
    def worst_run(self) -> Run:
        """The training seed with the lowest success."""
        return min(self.runs, key=lambda run: run.total.rate)

    @property
    def worst_task(self) -> tuple[str, Count]:
        """The task with the lowest pooled success, the first of those that are alike."""
        return min(self.tasks.items(), key=lambda item: item[1].rate)

    @property
    def generation_ms(self) -> float | None:
        """Median over the seeds."""
        times = [run.generation_ms for run in self.runs if run.generation_ms is not None]
        return median(times) if times else None

    @property
    def training_s(self) -> float | None:
        """Median over the seeds."""
        times = [run.training_s for run in self.runs if run.training_s is not None]
        return median(times) if times else None


@dataclass(frozen=True)
class Link:
    """One task of a chain, seeds pooled; a link counts as failed where one before it failed."""

    task: str
    count: Count


@dataclass(frozen=True)
class Chain:
    """One chain of tasks run in one scene without a reset, seeds pooled."""

    entry: str
    seeds: tuple[int, ...]
    links: tuple[Link, ...]
