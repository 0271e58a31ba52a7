"""Environments that speak messages: an observation is what the contract reads from what the robot's sensors would send.

Such an environment has no list of scalars. Any contract that binds its topics works: other sectors of a scan, a yaw
instead of a quaternion. In training the contract's fields are read from these messages, live from those of the bridge,
so that both are one number for number.
"""

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np

from lwd_ros.contract import TF, Contract, ContractError
from lwd_ros.contract.fields import reader
from lwd_ros.environments.environment import Content


def message_of(content: Content) -> SimpleNamespace:
    """An object shaped like the message whose fields `content` gives."""
    root = SimpleNamespace()
    for path, value in content.items():
        *parents, attribute = path.split(".")
        node = root
        for parent in parents:
            if not hasattr(node, parent):
                setattr(node, parent, SimpleNamespace())
            node = getattr(node, parent)
        setattr(node, attribute, value)
    return root


def require_topics(contract: Contract, topics: Mapping[str, str], name: str) -> None:
    """Raise ContractError unless the environment `name` sends all that a contract observes.

    `topics` has the message type ("pkg/msg/Name") of each topic that it sends.
    """
    for stream in contract.require_binding().observation_streams:
        if stream.type == TF:
            found = f"{stream.label}, a transform"
        elif stream.topic not in topics:
            found = f"topic '{stream.topic}'"
        elif topics[stream.topic] != stream.type:
            found = f"{stream.type} on '{stream.topic}'"
        else:
            continue
        sent = ", ".join(f"{topic} ({kind})" for topic, kind in topics.items())
        raise ContractError(
            f"contract '{contract.name}': key 'binding.observation': found {found}, expected what environment "
            f"'{name}' sends: {sent}"
        )


class MessageReader:
    """From the messages of one moment to an observation."""

    def __init__(self, contract: Contract):
        """Of a contract with a binding; `require_topics` says whether its topics are there."""
        self._size, self._topics = contract.frame_size, []
        for stream in contract.require_binding().observation_streams:
            self._topics.append((stream.topic, reader(stream.fields), list(stream.indices)))

    def __call__(self, messages: Mapping[str, Content]) -> np.ndarray:
        """float64 [observations] in the contract's order and units, of age 0.

        Raises:
            ContractError: a message lacks a field, or has no number there.
        """
        observation, made = np.zeros(self._size), {}
        for topic, read, places in self._topics:
            if topic not in made:
                made[topic] = message_of(messages[topic])
            try:
                observation[places] = read(made[topic])
            except ContractError as error:
                raise ContractError(f"{topic}: {error}") from error
        return observation
