"""Topic names of a contract as a recording has them: namespaces, remappings, and who is asked for where none is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lwd_ros.contract.picking import closest
from lwd_ros.dataset.demonstrations import DatasetError

_SHOWN = 12  # topics of a bag that a sentence lists


@dataclass(frozen=True)
class Names:
    """How the contract's topics are called in a recording.

    `namespace` stands before relative topics, as a node's namespace does; `remaps` are by the contract's topic or by
    the whole name, as of `ros2 run`.
    """

    namespace: str = ""
    remaps: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, namespace: str, remaps: Sequence[str]) -> "Names":
        """From the command line, each remapping as FROM:=TO; raises DatasetError."""
        return cls(namespace, dict(pair(text, "--remap") for text in remaps))

    def resolve(self, topic: str) -> str:
        """The whole name of a topic of the contract."""
        whole = self._whole(topic)
        for source, target in self.remaps.items():
            if source == topic or self._whole(source) == whole:
                return self._whole(target)
        return whole

    def _whole(self, topic: str) -> str:
        if topic.startswith("/"):
            return topic
        namespace = self.namespace.strip("/")
        return f"/{namespace}/{topic}" if namespace else f"/{topic}"


def pair(text: str, option: str) -> tuple[str, str]:
    """The two sides of FROM:=TO; raises DatasetError."""
    source, separator, target = text.partition(":=")
    if not separator or not source.strip() or not target.strip():
        raise DatasetError(f"{option}: found '{text}', expected FROM:=TO")
    return source.strip(), target.strip()


def require_topic(bag, topic: str, kind: str, where: str) -> None:
    """Refuse a recording without a topic of this type; DatasetError.

    Args:
        bag: what `open_bags` gave.
        topic: its whole name.
        kind: the type that the contract has, `pkg/msg/Name`.
        where: what asks for it, for the sentence: "contract 'arm'".
    """
    topics = bag.topics
    if topic not in topics:
        known = sorted(topics)
        listed = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} others" if len(known) > _SHOWN else "")
        ends = [name for name in known if name.endswith(topic)]
        hint = f"; '{ends[0]}'? --remap {topic}:={ends[0]}" if len(ends) == 1 else closest(topic, known)
        raise DatasetError(f"{bag.name}: found no topic {topic}, expected it for {where} ({kind}), in {listed}{hint}")
    found = topics[topic].type
    if found != kind:
        raise DatasetError(f"{bag.name}: {topic} was recorded as {found}, expected {kind} for {where}")
