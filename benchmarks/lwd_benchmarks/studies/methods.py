"""The methods that studies compare: which model files stand for which action horizon, read from YAML."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from lwd_benchmarks.studies.trials import KINDS
from lwd_ros.errors import LwdError
from lwd_ros.reading import read_yaml


class MethodsError(LwdError):
    """A file of methods cannot be used; says what was found and what was expected."""


@dataclass(frozen=True)
class Method:
    """A method as results name it: its kind, and by action horizon the model file and SHA-256 of each training seed."""

    name: str
    kind: str
    models: dict[int, tuple[tuple[Path, str], ...]]


def load_methods(path: str | Path, only: Collection[str] = ()) -> tuple[Method, ...]:
    """Read a YAML file, or only some of its methods; paths in it are relative to the current folder.

    Each method has a `kind` and a list `models` of mappings: `model`, a path in which {seed} stands for the seed,
    `seeds`, and the `horizons` that it is run at.

    Raises:
        MethodsError: a key is missing or wrong, or a model file or a method of `only` is not there.
    """
    content = read_yaml(path, "a file of methods", MethodsError)
    if not isinstance(content, Mapping) or not content:
        raise MethodsError(f"{path}: found {content!r}, expected a mapping of methods by name")
    commas = [name for name in content if "," in str(name)]
    if commas:
        raise MethodsError(f"{path}: found method '{commas[0]}', expected names without commas (--only parts at them)")
    unknown = [name for name in only if name not in content]
    if unknown:
        raise MethodsError(f"{path}: found no method '{unknown[0]}', expected one of {', '.join(map(str, content))}")
    chosen = {name: entry for name, entry in content.items() if not only or name in only}
    return tuple(_method(name, entry, f"{path}: method '{name}'") for name, entry in chosen.items())


def _method(name, entry, where: str) -> Method:
    if (
        not isinstance(entry, Mapping)
        or entry.get("kind") not in tuple(KINDS)
        or not isinstance(entry.get("models"), list)
    ):
        raise MethodsError(f"{where}: found {entry!r}, expected a list 'models' and a kind of {', '.join(KINDS)}")
    models: dict[int, tuple[tuple[Path, str], ...]] = {}
    for item in entry["models"]:
        try:
            files = tuple(Path(item["model"].format(seed=seed)).resolve() for seed in item["seeds"])
            horizons = [int(horizon) for horizon in item["horizons"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MethodsError(f"{where}: found {item!r}, expected model, seeds and horizons") from error
        for file in files:
            if not file.is_file():
                raise MethodsError(f"{where}: found no {file}; docs/training.md says how it is made")
        twice = [horizon for place, horizon in enumerate(horizons) if horizon in (*models, *horizons[:place])]
        if twice:
            raise MethodsError(f"{where}: found horizon {twice[0]} twice, expected one list of seeds for each horizon")
        found = tuple((file, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files)
        models |= dict.fromkeys(horizons, found)
    return Method(str(name), entry["kind"], dict(sorted(models.items())))
