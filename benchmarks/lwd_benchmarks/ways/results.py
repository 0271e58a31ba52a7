"""The format of what `lwd study ways` writes."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lwd_benchmarks.results import Interval, Number, Positive, Seconds, Share, Stored

Difference = Annotated[float, Field(ge=-1, le=1)]
Places = list[tuple[float, float]]


class WaysRun(Stored):
    """One training seed; ways by task."""

    seed: Number
    model_digest: str
    policy_parameters: Positive
    training_s: Seconds
    successes: Number
    episodes: Positive
    js_distance: Share | None
    js_expected: Share | None
    entropy: Share | None


class WaysPooled(Stored):
    """All seeds of a row, as `lwd_benchmarks.ways.measures.pooled` gives them."""

    successes: Number
    episodes: Positive
    layouts: Positive
    success: Share
    success_interval: Interval
    unknown: Number
    ways: dict[str, dict[str, Number]]
    js_distance: Share | None
    js_interval: Interval | None
    js_expected: Share | None
    js_over_floor: float | None
    entropy: Share | None
    entropy_interval: Interval | None
    entropy_expected: Share | None
    coverage: Share | None
    coverage_expected: Share | None

    @model_validator(mode="after")
    def _agrees(self):
        gone = sum(count for ways in self.ways.values() for count in ways.values())
        if gone + self.unknown != self.successes or self.successes > self.episodes:
            raise ValueError(f"found {self.successes} successes, which the counts of ways contradict")
        if abs(self.success - self.successes / self.episodes) > 1e-9:
            raise ValueError(f"found success {self.success}, which its counts contradict")
        return self


class WaysCommitment(Stored):
    """All seeds of a row, as `lwd_ros.evaluation.ways.commitment` gives them."""

    policies: Number
    success: Share | None
    committed: Share | None
    interval: Interval | None
    agreement: Share | None


class WaysDifference(Stored):
    """LWD minus this row, as `lwd_benchmarks.ways.measures.difference` gives it."""

    success: Difference
    success_interval: Interval
    success_p: Share
    js_excess: Difference | None
    js_interval: Interval | None


class OwnWay(Stored):
    """Of policies decoded from demonstrations: how many succeed, and how many of those go the demonstration's way."""

    demonstrations: Positive
    successes: Number
    own_way: Number
    share: Share


class WaysRow(Stored):
    """One method of a set. `lwd_minus` and `own_way` are None where they have no meaning."""

    title: str
    method: str
    horizon: Positive | Literal["episode"]
    runs: Annotated[list[WaysRun], Field(min_length=1)]
    pooled: WaysPooled
    commitment: WaysCommitment | None
    lwd_minus: WaysDifference | None
    own_way: OwnWay | None

    @model_validator(mode="after")
    def _agrees(self):
        for key in ("successes", "episodes"):
            if sum(getattr(run, key) for run in self.runs) != getattr(self.pooled, key):
                raise ValueError(f"found {getattr(self.pooled, key)} {key}, which its runs contradict")
        return self

    @property
    def seeds(self) -> int:
        """Of training."""
        return len(self.runs)

    @property
    def policy_parameters(self) -> int:
        """Numbers that are evaluated at every control step."""
        return self.runs[0].policy_parameters


class WaysPaths(Stored):
    """Paths in one layout, m; `circles` are centre and radius of what stands about."""

    task: str
    layout: Number
    axes: tuple[str, str]
    circles: list[tuple[float, float, float]]
    paths: dict[str, list[Places]]


class WaysData(Stored):
    """The demonstrations."""

    digest: Annotated[str, Field(min_length=64, max_length=64)]
    episodes: Positive
    frames: Positive
    experts: str
    frequencies: str | None
    ways: dict[str, Positive]


class WaysProtocol(Stored):
    """How all rows were judged."""

    success: str
    first_layout: Positive
    episodes_per_task: Positive
    policy_seed: str
    policies: Positive
    runs: Positive
    start_m: float
    pushes: float


class WaysResult(Stored):
    """One set of tasks; rows are there as far as the study got."""

    study: Literal["ways"]
    set: str
    title: str
    environment: str
    tasks: list[str]
    number_of_ways: dict[str, Positive]
    lwd_ros: str
    made_by: str
    protocol: WaysProtocol
    data: WaysData
    rows: dict[str, WaysRow]
    paths: WaysPaths | None

    @model_validator(mode="after")
    def _whole(self):
        if "lwd" not in self.rows:
            raise ValueError("found no row 'lwd', which others stand beside")
        return self
