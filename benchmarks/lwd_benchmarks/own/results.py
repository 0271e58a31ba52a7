"""The format of what `lwd study own` writes."""

from typing import Any, Literal

from pydantic import Field

from lwd_benchmarks.results import Count, Number, Positive, Seconds, Share, Stored


class OwnRun(Count):
    """A model of one training seed, judged on every layout of every task."""

    seed: Number
    success: Share
    tasks: dict[str, Number]
    training_s: Seconds


class OwnCount(Count):
    """All seeds of a method, pooled; the interval counts layouts, which the seeds share."""

    success: Share
    layouts: Positive
    interval: tuple[float, float]
    tasks: dict[str, Share]


class OwnEntry(Stored):
    """One method on so many demonstrations a task."""

    method: Literal["lwd", "task_mlp"]
    demonstrations: Positive
    policy_parameters: Positive
    steps: Positive
    data_digest: str = Field(min_length=64, max_length=64)
    runs: list[OwnRun]
    pooled: OwnCount


class OwnTimed(Stored):
    """From the last demonstration to the first autonomous command: seconds of each step."""

    demonstrations: Positive
    steps_s: dict[str, Seconds]
    minutes: Seconds
    cores: Positive
    load_before: Seconds


class OwnNodes(Stored):
    """Success through generator, controller and bridge."""

    demonstrations: Positive
    first_layout: Number
    episodes: Positive
    tasks: dict[str, Number]


class OwnResult(Stored):
    """What `lwd study own` writes."""

    study: Literal["own"]
    example: str
    lwd_ros: str
    made_by: str
    tasks: list[str]
    protocol: dict[str, Any]
    entries: list[OwnEntry]
    expert: OwnRun | None = None
    timed: OwnTimed | None = None
    nodes: OwnNodes | None = None
