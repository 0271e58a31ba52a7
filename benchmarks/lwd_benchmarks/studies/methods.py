"""The methods that a study compares: which model files stand for which action horizon."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from lwd_benchmarks.methods import FILE, MethodsError, load
from lwd_benchmarks.methods import Method as Described
from lwd_benchmarks.studies.trials import KINDS


@dataclass(frozen=True)
class Method:
    """A method as results name it: its kind, and by action horizon the model file and SHA-256 of each training seed."""

    name: str
    kind: str
    models: dict[int, tuple[tuple[Path, str], ...]]


def load_methods(study: str, path: str | Path = FILE, only: Collection[str] = ()) -> tuple[Method, ...]:
    """Those methods of a YAML file that have models for a study, or only some of them.

    Paths of model files are relative to the current folder.

    Raises:
        MethodsError: a key is missing or wrong, or a model file or a method of `only` is not there.
    """
    described = {name: method for name, method in load(path).items() if study in method.models}
    unknown = [name for name in only if name not in described]
    if unknown or not described:
        found = f"found no method '{unknown[0]}'" if unknown else f"found no method with models for '{study}'"
        raise MethodsError(f"{path}: {found}, expected one of {', '.join(described) or 'its own'}")
    chosen = {name: method for name, method in described.items() if not only or name in only}
    return tuple(_method(name, method, study, f"{path}: method '{name}'") for name, method in chosen.items())


def _method(name: str, described: Described, study: str, where: str) -> Method:
    if described.kind not in KINDS:
        raise MethodsError(f"{where}: found kind '{described.kind}', expected one of {', '.join(KINDS)}")
    models: dict[int, tuple[tuple[Path, str], ...]] = {}
    for item in described.models[study]:
        files = tuple(Path(item.model.replace("{seed}", str(seed))).absolute() for seed in item.seeds)
        for file in files:
            if "\0" in str(file) or not file.is_file():
                raise MethodsError(f"{where}: found no {file}; docs/howto/compare_methods.md says how it is made")
        twice = [h for place, h in enumerate(item.horizons) if h in (*models, *item.horizons[:place])]
        if twice:
            raise MethodsError(f"{where}: found horizon {twice[0]} twice, expected one list of seeds for each horizon")
        found = tuple((file, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files)
        models |= dict.fromkeys(item.horizons, found)
    return Method(name, described.kind, dict(sorted(models.items())))
