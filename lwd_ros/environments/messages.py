"""Environments that speak messages: an observation is what the contract reads from what the robot's sensors would send.

Such an environment has no list of scalars. Any contract that binds its topics works: other sectors of a scan, a yaw
instead of a quaternion. In training the contract's fields are read from these messages, live from those of the bridge,
so that both are one number for number.
"""

from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace

import numpy as np

from lwd_ros.contract import AGE, TF, Contract, ContractError
from lwd_ros.contract.fields import reader
from lwd_ros.environments.environment import Content, EnvironmentSpec


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


def require_messages(contract: Contract, topics: Mapping[str, str], spec: EnvironmentSpec) -> None:
    """Raise ContractError unless an environment sends all that a contract observes; see `MessageReader`.

    `topics` has the message type ("pkg/msg/Name") of each topic that it sends.
    """
    spec.require_period(contract)
    if contract.binding is None:
        own = spec.contract().observation_names
        for name in contract.observation_names:
            if name not in (*own, AGE):
                raise ContractError(
                    f"contract '{contract.name}': key 'observation.{name}': found neither a binding nor a scalar of "
                    f"this name in environment '{spec.name}', expected one of {', '.join(own)}"
                )
        return
    for stream in contract.binding.observation_streams:
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
            f"'{spec.name}' sends: {sent}"
        )


class MessageReader:
    """From the messages of one moment to an observation.

    A contract without a binding, as a model file and a dataset have it, is read by the binding of the environment's own
    contract, name by name. What an environment sends again, the same `MappingProxyType`, is not read again.
    """

    def __init__(self, contract: Contract, spec: EnvironmentSpec):
        """Of a contract for which `require_messages` holds."""
        bound = contract if contract.binding is not None else spec.contract()
        self._values, self._topics = np.zeros(bound.frame_size), []
        for stream in bound.require_binding().observation_streams:
            self._topics.append((stream.topic, reader(stream.fields), list(stream.indices)))
        names = bound.observation_names
        self._places = [names.index(name) if name in names else -1 for name in contract.observation_names]
        self._age = contract.age_place
        self._last: dict[str, Content] = {}

    def __call__(self, messages: Mapping[str, Content]) -> np.ndarray:
        """float64 [observations] in the contract's order and units, of age 0.

        Raises:
            ContractError: a message lacks a field, or has no number there.
        """
        made: dict[str, SimpleNamespace] = {}
        for topic, read, places in self._topics:
            if self._last.get(topic) is messages[topic]:
                continue
            if topic not in made:
                made[topic] = message_of(messages[topic])
            try:
                self._values[places] = read(made[topic])
            except ContractError as error:
                raise ContractError(f"{topic}: {error}") from error
        # A dictionary may have been changed in place meanwhile; a proxy says that nobody will.
        self._last = {topic: messages[topic] for topic in made if isinstance(messages[topic], MappingProxyType)} | {
            topic: content for topic, content in self._last.items() if topic not in made
        }
        observation = self._values[self._places]
        if self._age is not None:
            observation[self._age] = 0.0
        return observation
