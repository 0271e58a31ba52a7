"""Between our objects and messages: policies, stamps, and the messages that a contract's streams name."""

import array
import os
import struct
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message

from lwd_msgs.msg import PolicyWeights
from lwd_ros.contract import ContractError
from lwd_ros.contract.definitions import class_of
from lwd_ros.control import Publication
from lwd_ros.policy import Policy, PolicyError, PolicyLayout
from lwd_ros.policy.policy import FLOAT_ARRAYS, FORMAT_VERSION

_LITTLE_ENDIAN = b"\x00\x01"  # how a message in plain CDR, the middleware's encoding, begins on nearly every computer
_HEAD = struct.Struct("<iII")  # a stamp and the length of the text behind it
_TEXTS = ("task", "contract_digest", "model_digest", "latent_digest")


def policy_to_message(policy: Policy, stamp: Time, requested: Time | None = None) -> PolicyWeights:
    """A policy as it travels; arrays go in as `array.array`, which is 50 to 800 times faster than lists.

    `stamp` is when it was generated and `requested` when it was asked for, None where that is unknown.
    """
    message = PolicyWeights(
        policy_id=policy.policy_id,
        format_version=FORMAT_VERSION,
        seed=policy.seed,
        layer_sizes=array.array("I", policy.layout.layer_sizes),
        hidden_activation=policy.layout.hidden_activation,
        output_activation=policy.layout.output_activation,
        observation_indices=array.array("I", policy.observation_indices.tolist()),
        **{name: array.array("f", getattr(policy, name).tobytes()) for name in FLOAT_ARRAYS},
        **{name: getattr(policy, name) for name in _TEXTS},
    )
    message.header.stamp = stamp
    message.requested = requested or Time()
    return message


def message_to_policy(message: PolicyWeights) -> Policy:
    """Check a policy that arrived and build it.

    Raises:
        PolicyError: a size, a number or a digest is wrong, or the content does not have the id that it states.
    """
    if message.format_version != FORMAT_VERSION:
        raise PolicyError(f"format_version: found {message.format_version}, expected {FORMAT_VERSION}")
    arrays: dict[str, Any] = {name: np.asarray(getattr(message, name), dtype=np.float32) for name in FLOAT_ARRAYS}
    policy = Policy(
        layout=PolicyLayout(tuple(message.layer_sizes), message.hidden_activation, message.output_activation),
        observation_indices=np.array(message.observation_indices, dtype=np.int64),
        seed=message.seed,
        **arrays,
        **{name: getattr(message, name) for name in _TEXTS},
    )
    if policy.policy_id != message.policy_id:
        raise PolicyError(
            f"policy_id: found {message.policy_id!r}, expected {policy.policy_id!r}: the content was changed on the way"
        )
    return policy


class Parcel(NamedTuple):
    """A policy that arrived, as the middleware's bytes or decoded, and which publication it is."""

    publication: Publication
    content: bytes | PolicyWeights

    @classmethod
    def of(cls, content: bytes | PolicyWeights) -> "Parcel":
        """Read which publication it is; of bytes, only the beginning is read.

        Raises:
            PolicyError: it is no whole PolicyWeights.
        """
        if isinstance(content, PolicyWeights):
            stamps_ns = to_nanoseconds(content.header.stamp), to_nanoseconds(content.requested)
            return cls(Publication(content.policy_id, *stamps_ns), content)
        if content[:2] != _LITTLE_ENDIAN:
            return cls(cls.of(_decode(content)).publication, content)
        try:
            seconds, nanoseconds, length = _HEAD.unpack_from(content, 4)  # header.stamp, length of header.frame_id
            start = 16 + (length + 3 & ~3)
            *requested, length = _HEAD.unpack_from(content, start)  # requested, length of policy_id
            policy_id = content[start + 12 : start + 11 + length].decode()  # its last byte is a 0
        except (struct.error, UnicodeDecodeError) as error:
            raise _no_policy(content, error) from error
        stamp_ns, requested_ns = (s * 1_000_000_000 + ns for s, ns in ((seconds, nanoseconds), requested))
        return cls(Publication(policy_id, stamp_ns, requested_ns), content)

    def open(self) -> Policy:
        """Decode the policy, check it and build it; raises PolicyError like `message_to_policy`."""
        return message_to_policy(_decode(self.content) if isinstance(self.content, bytes) else self.content)


def _decode(content: bytes) -> PolicyWeights:
    try:
        return deserialize_message(content, PolicyWeights)
    except RuntimeError as error:  # RMWError is one
        raise _no_policy(content, error) from error


def _no_policy(content: bytes, error: Exception) -> PolicyError:
    return PolicyError(f"policy: found {len(content)} bytes that are no PolicyWeights ({error}), expected one")


def to_nanoseconds(stamp: Time) -> int:
    """A message's stamp in ns."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def to_stamp(nanoseconds: int) -> Time:
    """Nanoseconds as a message's stamp."""
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def interface_class(message_type: str, topic: str):
    """As `message_class`, also of a service's events ("pkg/srv/Name_Event")."""
    package, kind, name = (*message_type.split("/"), "", "")[:3]
    if kind != "srv" or not name.endswith("_Event"):
        return message_class(message_type, topic)
    try:
        return getattr(import_module(f"{package}.srv"), name.removesuffix("_Event")).Event
    except (ImportError, AttributeError) as error:
        found = f"found no service '{name.removesuffix('_Event')}' in {package}"
        raise ContractError(f"{topic}: type: {found}, expected it installed") from error


def message_class(message_type: str, topic: str):
    """The Python class of a message type, of messages on `topic`.

    Raises:
        ContractError: its package is not installed, or has no such message.
    """
    try:
        return class_of(message_type)
    except ContractError as error:
        package, hint = message_type.partition("/")[0], ""
        if find_spec(package) is None:
            hint = f": sudo apt install ros-{os.environ.get('ROS_DISTRO') or 'DISTRO'}-{package.replace('_', '-')}"
        raise ContractError(f"{topic}: type: {error}{hint}") from error
