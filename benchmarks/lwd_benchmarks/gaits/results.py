"""The format of what `lwd study gaits` writes."""

from typing import Any, Literal

from pydantic import Field, model_validator

from lwd_benchmarks.results import Number, Positive, Seconds, Share, Stored

Interval = tuple[float, float]


class Walked(Stored):
    """Episodes of one actor in one gait: their returns in m, how long each stayed up, which feet were down."""

    returns: list[float]
    steps: list[Positive]
    successes: Number
    survived: Number
    contacts: list[list[Number]]

    @model_validator(mode="after")
    def _agrees(self):
        if not len(self.returns) == len(self.steps) == len(self.contacts) >= max(self.successes, self.survived, 1):
            raise ValueError("found lists of several lengths, or more episodes than there are")
        return self


class GaitRow(Stored):
    """One gait: policies of all training seeds beside its teacher, on the same layouts."""

    task: str
    episodes: Positive
    return_ratio: float
    return_interval: Interval
    js: Share
    js_interval: Interval
    js_floor: Share
    speed_mps: float
    teacher_speed_mps: float
    survived: Number
    survival: Share
    survival_interval: Interval
    successes: Number
    teacher_survived: Number
    teacher_episodes: Positive
    contacts: list[Number]
    teacher_contacts: list[Number]


class GaitPool(Stored):
    """All gaits of a robot: means over gaits, each counting the same; the largest distance; counts of episodes."""

    return_ratio: float
    js: Share
    js_worst: Share
    js_floor: Share
    survived: Number
    episodes: Positive
    survival: Share
    survival_interval: Interval
    successes: Number


class GaitEntry(Stored):
    """One method on one robot."""

    method: str
    seeds: list[Number]
    policy_parameters: Positive | None
    queries: str
    training_s: list[Seconds]
    model_digests: list[str]
    tasks: list[GaitRow]
    pooled: GaitPool


class GaitsResult(Stored):
    """What `lwd study gaits` writes: one robot."""

    study: Literal["gaits"]
    robot: str
    lwd_ros: str
    data_digest: str = Field(min_length=64, max_length=64)
    demonstrations: Positive
    noise: tuple[float, float]
    period_s: float
    episode_steps: Positive
    first_layout: Positive
    episodes: Positive
    train: dict[str, Any]
    patterns: list[str]
    entries: list[GaitEntry]
