"""Where configs and results of the benchmarks lie: in a checkout of the repository, not in the installed package."""

from pathlib import Path

from lwd_ros.errors import LwdError


def in_checkout(path: str) -> Path:
    """A path of the repository, such as `benchmarks/results`.

    The repository is the current folder or one above it, else the one that an editable install points to.

    Raises:
        LwdError: none of them has it.
    """
    places = (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[2])
    for place in places:
        if (place / path).exists():
            return Path(path) if place == Path.cwd() else place / path
    raise LwdError(
        f"found no {path} in {Path.cwd()} or above it; run this in the repository, or name another by option"
    )
