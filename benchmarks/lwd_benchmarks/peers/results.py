"""The format of what `lwd study peers` writes."""

from typing import Any, Literal

from pydantic import Field

from lwd_benchmarks.results import Count, Number, Positive, Seconds, Share, Stored


class PeersPoint(Count):
    """Success after so many minutes of training: of a checkpoint (`step`), or of a training of its own (`place`)."""

    minutes: Seconds
    success: Share
    tasks: dict[str, Number]
    step: Positive | None = None


class PeersCost(Stored):
    """What a policy takes: processor time in ms, bytes of its weights, MB of the process."""

    parameters: Positive
    bytes: Positive
    query_ms: Seconds
    step_ms: Seconds
    memory_mb: Seconds
    model_bytes: Positive | None = None
    queries_timed: Positive | None = None


class PeersEntry(Stored):
    """One method; `report` is its best point of the curve on other layouts."""

    kind: Literal["lwd", "lerobot"]
    title: str
    curve: list[PeersPoint]
    why: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    budget_minutes: float | None = None
    step_s: Seconds | None = None
    lerobot: str = ""
    cost: PeersCost | None = None
    report: PeersPoint | None = None


class PeersResult(Stored):
    """What `lwd study peers` writes."""

    study: Literal["peers"]
    lwd_ros: str
    set: str
    data_digest: str = Field(min_length=64, max_length=64)
    demonstrations: Positive
    frames: Positive
    protocol: dict[str, Any]
    entries: dict[str, PeersEntry]


class LeRobotChecks(Stored):
    """What `make test-lerobot` writes."""

    check: Literal["lerobot"]
    lerobot: str
    torch: str
    python: str
    values: Positive
    checks: dict[str, dict[str, float]]
