"""The results' format: what studies, comparisons and the controller's benchmarks write, and what the report reads.

Whatever a benchmark writes passes through its model here, and comes back through the same one. Keys that a model does
not name are refused where benchmarks write the content themselves; where `lwd evaluate` writes it, they are kept.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from lwd_ros.environments.layouts import REPORTING_LAYOUTS, VALIDATION_LAYOUTS
from lwd_ros.errors import LwdError
from lwd_ros.evaluation.evaluate import write_json

LAYOUTS = {"reporting": REPORTING_LAYOUTS, "validation": VALIDATION_LAYOUTS}
SETS = {"mt10": "MT10", "mt50": "MT50"}
GOALS = ("visible", "hidden")
REPORTED = {"main", "size", "demonstrations"}
"""Groups of entries whose figures are published: they are judged on reporting layouts."""

Number = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[float, float]
Seconds = Annotated[float, Field(ge=0)]


class ResultError(LwdError):
    """A result cannot be used; says the file, what was found and what was expected."""


class Stored(BaseModel):
    """Part of a result that benchmarks write: other keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kept(Stored):
    """Part of a result that `lwd` itself writes: other keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Count(Kept):
    """Episodes of a task, or of a row.

    `failed_layouts` has a layout as often as training seeds failed on it; None where a result does not say.
    """

    successes: Number
    episodes: Positive
    success: Share | None = None
    failed_layouts: list[Number] | None = None

    @model_validator(mode="after")
    def _agrees(self):
        if self.successes > self.episodes:
            raise ValueError(f"found {self.successes} successes of {self.episodes} episodes")
        if self.success is not None and abs(self.success - self.successes / self.episodes) > 1e-9:
            raise ValueError(f"found success {self.success}, which its counts contradict")
        if self.failed_layouts is not None and len(self.failed_layouts) != self.episodes - self.successes:
            raise ValueError(f"found {len(self.failed_layouts)} failed layouts, which its counts contradict")
        return self


class Protocol(Kept):
    """How a model was judged; some tasks may have been on layouts of their own, from `first_layout_of` on."""

    first_layout: Number
    first_layout_of: dict[str, Number] = {}

    def first(self, task: str) -> int:
        """The first layout of a task."""
        return self.first_layout_of.get(task, self.first_layout)

    def require(self, kind: str) -> None:
        """Raise ValueError unless all layouts are of a kind, reporting or validation."""
        for first in (self.first_layout, *self.first_layout_of.values()):
            if first not in LAYOUTS[kind]:
                span = f"{LAYOUTS[kind].start:,} to {LAYOUTS[kind].stop - 1:,}"
                raise ValueError(f"found first layout {first}, expected {kind} layouts, {span}")


class Evaluation(Kept):
    """What `lwd evaluate` writes."""

    model: str | None = None
    model_digest: str | None
    policy_parameters: Number | None
    flops_per_step: Number | None
    generation_ms: Annotated[float, Field(ge=0)] | None
    protocol: Protocol
    tasks: dict[str, Count]


class Block(Stored):
    """What a study says of the entry that a result belongs to; `job` is all that the result depends on."""

    entry: str
    set: Literal["mt10", "mt50"]
    goal: Literal["visible", "hidden"]
    method: str
    seed: Number
    hidden_layers: tuple[int, ...] | None
    demonstrations_per_task: Number | None
    steps: Number | None
    groups: list[Literal["main", "size", "demonstrations", "budget", "rate"]]
    layouts: Literal["reporting", "validation"]
    training_s: Seconds | None
    job: dict[str, JsonValue]

    @property
    def data_digest(self) -> str | None:
        """Of the demonstrations; None for the expert."""
        found = self.job.get("data_digest")
        return found if isinstance(found, str) else None

    @property
    def learning_rate(self) -> float | None:
        """The peak of the schedule; None for what needed no training."""
        found: JsonValue = self.job
        for key in ("train_config", "autoencoder", "learning_rate"):
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, int | float) else None


class OfAnEntry(Kept):
    """A result whose file is named after its entry and seed."""

    study: Block
    protocol: Protocol

    @model_validator(mode="after")
    def _layouts(self):
        self.protocol.require(self.study.layouts)
        return self


class StudyResult(Evaluation, OfAnEntry):
    """One model of the Metaworld study, each task by itself."""

    @model_validator(mode="after")
    def _whole(self):
        block = self.study
        described = (block.hidden_layers, block.demonstrations_per_task, block.steps, self.policy_parameters)
        if block.method != "expert" and None in described:
            raise ValueError("found no hidden layers, demonstrations, steps or parameters, which only the expert lacks")
        return self


class Link(Count):
    """One task of a chain; it counts as failed where one before it failed."""

    task: str


class ChainResult(OfAnEntry):
    """One model of the Metaworld study, tasks one after another."""

    model_digest: str | None = None
    links: Annotated[list[Link], Field(min_length=1)]


Points = list[tuple[float, float]]
Paths = list[Annotated[list[tuple[float, float, float]], Field(min_length=20, max_length=20)]]
"""Hand paths [layouts][points][x, y, z], mm."""


class OfARun(Stored):
    """The head of what is studied of a run."""

    run: str
    seed: Number
    run_digest: str
    data_digest: str
    lwd_ros: str
    policy_parameters: Number
    protocol: dict[str, JsonValue]


class Rolled(Stored):
    """Successes among as many demonstrations."""

    successes: Number
    success: Share
    interval: Interval


class Reconstructed(Stored):
    """A task's demonstrations, and policies decoded from them."""

    demonstrations: Positive
    expert: Rolled
    decoded: Rolled
    expert_failed: Number
    same_outcome: Share
    action_error: dict[str, JsonValue]
    paths: dict[str, JsonValue]


class ShownPaths(Stored):
    """Of one task, for a picture."""

    layouts: list[Number]
    expert: Paths
    decoded: Paths


class ReconstructionResult(OfARun):
    """What `lwd study reconstruction` writes."""

    study: Literal["reconstruction"]
    mean: dict[str, float]
    tasks: dict[str, Reconstructed]
    kept_paths: dict[str, ShownPaths]


class Variety(Stored):
    """Policies generated for one task: how their weights and commands differ."""

    layouts: list[Number]
    successes: Number
    weight_distance: float
    action_disagreement: float
    action_disagreement_per_command: dict[str, float]
    paths: Paths


class Diversity(Stored):
    """Of policies for one layout, and for a layout each."""

    one_layout: Variety
    many_layouts: Variety


class Pictured(Stored):
    """A task's latents in the picture's plane."""

    encoded: Points
    sampled: Points
    nearest_encoded_is_of_the_task: Share


class LatentsResult(OfARun):
    """What `lwd study latents` writes."""

    study: Literal["latents"]
    explained_variance: list[float]
    tasks: dict[str, Pictured]
    diversity: dict[str, Diversity]


class MethodRow(Stored):
    """A method at a horizon in a case; which keys tell the case, and what else was measured, differs by study."""

    horizon: Positive
    training_seeds: Positive
    thinking_steps: Number
    success: Share
    successes: Number
    episodes: Positive
    interval: Interval
    queries_per_episode: float
    queries_per_success: float | None
    steps_per_episode: float
    steps_per_success: float | None
    seconds: float
    models: list[dict[str, str]]
    tasks: dict[str, Count]
    query_ms: float | None = None
    # horizon
    diffusion_ms_per_episode: float | None = None
    diffusion_ms_per_success: float | None = None
    flops: dict[Literal["query", "policy_step", "control_step"], float] | None = None
    # disturbance
    disturbance: str | None = None
    level: float | None = None
    unit: str | None = None
    drop: float | None = None
    drop_interval: Interval | None = None
    reference: tuple[str, int] | None = None
    extra_drop: float | None = None
    extra_drop_interval: Interval | None = None
    lead: float | None = None
    lead_interval: Interval | None = None
    # latency
    times_slower: float | None = None
    meanwhile: Literal["stands", "plays on", "pauses"] | None = None

    @model_validator(mode="after")
    def _agrees(self):
        counted = sum(task.successes for task in self.tasks.values())
        if (counted, self.success) != (self.successes, self.successes / self.episodes):
            raise ValueError(f"found success {self.success}, which its counts contradict")
        return self


class MethodsProtocol(Protocol):
    """How methods were judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    success: str
    policy_seed: str
    disturbance_seed: str
    episodes_per_task: Positive
    tasks: list[str]
    revision: Number


class MethodsResult(Stored):
    """What `lwd study horizon`, `disturbance`, `latency` and `convergence` write: rows by method."""

    study: Literal["horizon", "disturbance", "latency", "convergence"]
    lwd_ros: str
    machine: dict[Literal["cpu", "cores"], str | int]
    protocol: MethodsProtocol
    episode_hours: float
    methods: dict[str, list[MethodRow]]


class HandoverRow(Count):
    """A second task, asked for after a pause."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    before: str
    task: str
    meanwhile: str
    pause_s: Seconds
    interval: Interval
    done: Number
    failed_before: Number
    longest_steps: Number | None


class HandoverModel(Stored):
    """One model's rows."""

    model_digest: str
    policy_parameters: Number
    lwd_ros: str
    first_layout: Number
    rows: Annotated[list[HandoverRow], Field(min_length=1)]


class HandoverProtocol(Stored):
    """What all rows have in common."""

    success: str
    policies_per_link: Positive
    episodes: Positive
    policy_seed: str
    pauses_s: list[Seconds]


class HandoverResult(Stored):
    """What `lwd study handover` writes."""

    study: Literal["handover"] = "handover"
    protocol: HandoverProtocol
    models: dict[str, HandoverModel]

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, content: Any) -> Any:
        return upgraded_handovers(content)


def upgraded_handovers(content: Any) -> Any:
    """A result of handovers whose models state their first layout; earlier ones stated one for all in the protocol."""
    protocol, models = (content.get(key) if isinstance(content, dict) else None for key in ("protocol", "models"))
    if not isinstance(protocol, dict) or not isinstance(models, dict) or "first_layout" not in protocol:
        return content
    usual = {"first_layout": protocol["first_layout"]}
    rest = {key: value for key, value in protocol.items() if key != "first_layout"}
    stated = {name: usual | model if isinstance(model, dict) else model for name, model in models.items()}
    return content | {"protocol": rest, "models": stated}


class ControllerResult(Stored):
    """What `lwd bench NAME` writes; the figures of a run are the benchmark's own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    benchmark: Literal[
        "latency", "swap", "swap_before_after", "swap_profile", "step", "fields", "soak", "handover", "import"
    ]  # fmt: skip
    machine: str
    python: str
    versions: dict[str, str]

    @property
    def figures(self) -> dict[str, Any]:
        """What the benchmark itself measured."""
        return self.model_extra or {}

    @model_validator(mode="after")
    def _measured(self):
        needed = {"soak": "memory_mb", "swap": "at_normal_priority", "handover": "trials", "import": "import_s"}.get(
            self.benchmark, "runs"
        )
        if needed not in self.figures:
            raise ValueError(f"found no '{needed}'")
        return self


Model = TypeVar("Model", bound=BaseModel)


def checked(kind: type[Model], content: Any, where: object) -> Model:
    """A result of a kind; ResultError says the first thing that is wrong with it."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        says = first["msg"].removeprefix("Value error, ")
        value = repr(first["input"])
        seen = f", found {value[:60]}{'…' if len(value) > 60 else ''}" if first["type"] != "value_error" else ""
        raise ResultError(f"{where}: {f'key {place!r}: ' if place else ''}{says}{seen}") from error


def read(kind: type[Model], path: Path) -> Model:
    """A result from its file; ResultError where it cannot be read or is not of the kind."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultError(f"{path}: cannot be read ({error}); expected a result's JSON") from error
    return checked(kind, content, path)


def write(kind: type[Model], content: dict, path: Path) -> None:
    """Write a result, whole or not at all; ResultError where it is not of its kind."""
    checked(kind, content, path)
    write_json(content, path)
