"""What files of studies share: unknown keys are refused, and a wrong one is a sentence with its path."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lwd_benchmarks.paths import in_checkout
from lwd_ros.environments.environment import Simulator
from lwd_ros.environments.registry import simulator
from lwd_ros.errors import LwdError
from lwd_ros.reading import read_yaml


class Strict(BaseModel):
    """Part of a study's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def read(cls, path: str | Path, expected: str, error: type[LwdError]) -> Self:
        """A file's content; an `error` where it cannot be read, or names the key that is wrong."""
        try:
            return cls.model_validate(read_yaml(path, expected, error))
        except ValidationError as cause:
            first = cause.errors()[0]
            raise error(f"{path}: key '{'.'.join(map(str, first['loc']))}': {first['msg']}") from cause


def simulator_named(environment: str) -> Simulator:
    """The simulator of a name, or of a file's path from the repository; raises as `registry.simulator`."""
    return simulator(in_checkout(environment) if environment.endswith(".yaml") else environment)
