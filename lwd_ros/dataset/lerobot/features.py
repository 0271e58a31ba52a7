"""The features of a LeRobot dataset: which are numbers of a frame, and what their scalars are called."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lwd_ros.dataset.lerobot.errors import LeRobotError

OBSERVATION, ACTION = "observation", "action"
_NUMBERS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")


@dataclass(frozen=True)
class Feature:
    """One column: its key, type, and, where it is a vector of numbers, its scalars' names in order."""

    key: str
    dtype: str
    names: tuple[str, ...]

    @property
    def side(self) -> str:
        """OBSERVATION or ACTION for a vector of numbers under that name; '' for all else."""
        first = self.key.partition(".")[0]
        return first if self.names and first in (OBSERVATION, ACTION) else ""


def features_of(value: object, where: str) -> dict[str, Feature]:
    """The features of info.json; raises LeRobotError where they are no features, or a name stands twice in one."""
    if not isinstance(value, Mapping) or not value:
        raise LeRobotError(f"{where}: key 'features': found {value!r}, expected a mapping")
    features = {}
    for key, content in value.items():
        if not isinstance(content, Mapping) or not isinstance(content.get("dtype"), str):
            raise LeRobotError(f"{where}: key 'features.{key}': found {content!r}, expected a mapping with 'dtype'")
        features[key] = Feature(key, content["dtype"], _names(key, content, where))
    return features


def _names(key: str, content: Mapping, where: str) -> tuple[str, ...]:
    shape = content.get("shape")
    vector = isinstance(shape, (list, tuple)) and len(shape) == 1 and isinstance(shape[0], int) and shape[0] > 0
    if not vector or content["dtype"] not in _NUMBERS:
        return ()
    size = shape[0]  # type: ignore[index]
    names = tuple(_flat(content.get("names")))
    if not names:
        return tuple(f"{key}[{place}]" for place in range(size)) if size > 1 else (key,)
    if len(names) != size:
        raise LeRobotError(
            f"{where}: key 'features.{key}.names': found {len(names)} names, expected {size} as in 'shape'"
        )
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise LeRobotError(f"{where}: key 'features.{key}.names': found '{twice}' twice, expected every name once")
    return names


def _flat(value: object) -> Iterator[str]:
    """Names in order: of a list, of lists in lists, of a mapping to lists, or of a mapping to places."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        if value and all(isinstance(place, int) for place in value.values()):
            yield from (str(name) for name in sorted(value, key=value.__getitem__))
        else:
            for each in value.values():
                yield from _flat(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _flat(each)
