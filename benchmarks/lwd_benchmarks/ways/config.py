"""The file of `lwd study ways`: sets of tasks with their demonstrations and trainings, and the methods."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lwd_benchmarks.methods import LATENT, LWD, METHODS, TRAINED
from lwd_benchmarks.methods.diffusion_policy.config import METHOD as DIFFUSION_POLICY
from lwd_benchmarks.study_file import Strict
from lwd_ros.errors import LwdError

EPISODE: Literal["episode"] = "episode"
"""A horizon: one query an episode."""


class WaysError(LwdError):
    """The study's file, an earlier result or what lies in its folders cannot be used."""


Count = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0)]


class Demonstrated(Strict):
    """What `lwd collect` is told; the same settings give the same demonstrations."""

    folder: Path
    episodes: Count
    experts: str = "all"
    frequencies: str | None = None


class Judged(Strict):
    """One row of the page.

    Attributes:
        method: of methods.yaml; `lwd` itself, one that is trained, one that is made from a run of `lwd`, or
            `diffusion_policy`.
        title: on the page.
        horizon: control periods between two queries of its model, or `episode`.
        changes: of the set's training config, for methods that are trained by it, nested keys written a.b.
        config: of Diffusion Policy, its file.
        trained_as: another row, whose model file is judged in another way here; nothing is trained.
        seeds: of training; None: the study's.
        commitment: whether its policies are run again under pushes.
    """

    method: str
    title: str
    horizon: Count | Literal["episode"] = EPISODE
    changes: dict[str, Any] = Field(default_factory=dict)
    config: str = ""
    trained_as: str = ""
    seeds: tuple[Seed, ...] | None = None
    commitment: bool = True

    @model_validator(mode="after")
    def _known(self):
        known = (LWD, *TRAINED, *LATENT, DIFFUSION_POLICY)
        if self.method not in known:
            raise ValueError(f"found method '{self.method}', expected one of {', '.join(known)}")
        if (self.method == DIFFUSION_POLICY) != bool(self.config or self.trained_as):
            if self.method == DIFFUSION_POLICY:
                raise ValueError("found no config, expected that of Diffusion Policy")
            if self.config:
                raise ValueError("found a config, expected one for Diffusion Policy alone")
        return self

    @property
    def kind(self) -> str:
        """Its actor: a key of `lwd_benchmarks.studies.trials.KINDS`."""
        return METHODS[self.method].kind or "lwd"

    @property
    def periods(self) -> int | None:
        """Control periods between two queries; None for one query an episode."""
        return None if self.horizon == "episode" else self.horizon


class Picture(Strict):
    """The plane in which paths are drawn: two observed scalars, in m."""

    x: str
    y: str
    paths: Count = 40


class TaskSet(Strict):
    """Tasks of one environment that one model learns."""

    title: str
    environment: str
    tasks: tuple[str, ...] = Field(min_length=1)
    demonstrations: Demonstrated
    train: str
    rows: tuple[str, ...] = Field(min_length=1)
    picture: Picture | None = None
    changes: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Ways(Strict):
    """The file. `rows` are by name; each set names those that it has, LWD first."""

    state: Path
    first_layout: Count
    episodes: Count
    seeds: tuple[Seed, ...] = Field(min_length=1)
    reconstructed: Count = 480
    policies: Count = 40
    runs: Count = 10
    sets: dict[str, TaskSet] = Field(min_length=1)
    rows: dict[str, Judged]

    @model_validator(mode="after")
    def _complete(self):
        for name, each in self.sets.items():
            for row in (*each.rows, *each.changes):
                if row not in self.rows:
                    raise ValueError(f"set '{name}': found row '{row}', expected one of {', '.join(self.rows)}")
            if each.rows[0] != LWD:
                raise ValueError(
                    f"set '{name}': found '{each.rows[0]}' first, expected {LWD}, which others stand beside"
                )
        for name, row in self.rows.items():
            if row.trained_as and (row.trained_as not in self.rows or self.rows[row.trained_as].trained_as):
                raise ValueError(f"row '{name}': found trained_as '{row.trained_as}', expected a row that is trained")
        return self

    @classmethod
    def load(cls, path: str | Path) -> "Ways":
        """Read it; WaysError for a wrong key."""
        return cls.read(path, "a study of ways in YAML", WaysError)

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """Training seeds of a row."""
        return self.rows[row].seeds or self.seeds
