"""What the tests of the control tick share: contracts with other bindings, observation vectors, a message feeder."""

import copy

import numpy as np
import yaml

from lwd_ros.contract import AGE, Contract
from lwd_ros.control import ControllerCore, Observation, ObservationAssembler
from lwd_ros.policy import PolicyLayout
from lwd_ros.resources import share_path

SHIPPED = yaml.safe_load(share_path("config", "metaworld.yaml").read_text(encoding="utf-8"))
STREAMS = len(SHIPPED["binding"]["observation"]["streams"])
PERIOD = 12_500_000  # ns


def control_contract(**changes) -> Contract:
    """The shipped contract with keys replaced: sync, on_fault, stale (s, one per stream), slew (of the hand, m/s²).

    With `after_loss` a permission stream is needed. With `age`, observations have their age, last, up to so many s.
    Policies read `history` frames.
    """
    content = copy.deepcopy(SHIPPED)
    observation, command = content["binding"]["observation"], content["binding"]["command"]
    observation["sync"] = changes.get("sync", observation["sync"])
    command["on_fault"] = changes.get("on_fault", command["on_fault"])
    for stream, stale in zip(observation["streams"], changes.get("stale", []), strict=False):
        stream["stale_after_s"] = stale
    for axis in "xyz":
        scalar = content["command"][f"hand_velocity_{axis}"]
        scalar["slew_per_s"] = changes.get("slew", scalar["slew_per_s"])
    if "after_loss" in changes:
        stream = {"topic": "/may", "type": "std_msgs/msg/Bool", "field": "data", "equals": True, "latched": True}
        content["binding"]["permission"] = {"after_loss": changes["after_loss"], "streams": [stream]}
    content["history"] = changes.get("history", 1)
    if "age" in changes:
        content["observation"][AGE] = {"unit": "s", "limits": [0.0, changes["age"]]}
    return Contract.from_dict(content)


def vector_of(number: float) -> np.ndarray:
    return np.arange(21) + 100.0 * number


class Feeder:
    """Gives an assembler, or the core that has one, whole observations; `now` is the steady clock, s."""

    def __init__(self, receiver: ObservationAssembler | ControllerCore):
        self.now = 0.0
        if isinstance(receiver, ControllerCore):
            self._receive, self.streams = receiver.receive, receiver.contract.require_binding().observation_streams
        else:
            self.assembler, self._receive, self.streams = receiver, receiver.add, receiver.streams

    def message(self, stream: int, stamp: int, vector=None, frame_id="base"):
        """One message of one stream at the stamp `stamp` periods after 0."""
        vector = vector_of(stamp) if vector is None else vector
        return self.message_at(stream, stamp * PERIOD, vector, frame_id)

    def message_at(self, stream: int, stamp_ns: int, vector, frame_id="base"):
        """One message of one stream."""
        values = vector[np.array(self.streams[stream].indices)]
        return self._receive(stream, stamp_ns, frame_id, values, self.now)

    def observation(self, stamp: int, vector=None) -> Observation:
        """All streams; the observation that the last of them completes."""
        found = [self.message(stream, stamp, vector) for stream in reversed(range(STREAMS))]
        assert found[:-1] == [None] * (STREAMS - 1)
        return found[-1]


def constant(make_policy, command, contract=None, draw=0, **more):
    """A policy that commands one vector whatever it sees, by default for the shipped contract."""
    layout = PolicyLayout((21, 4))
    changes = more if contract is None else {"contract_digest": contract.digest, **more}
    return make_policy(draw, layout, weights=np.zeros(layout.parameters), action_offset=command, **changes)


def offer(core: ControllerCore, policy) -> None:
    """Check a policy and accept it, as the node does on two threads; raises PolicyError, and changes nothing then."""
    core.accept(core.check(policy))


def tick(core, feeder, stamp, vector=None):
    """Answer one whole observation at the stamp `stamp` periods after 0, which is the time then at the earliest."""
    feeder.now = max(feeder.now, stamp * PERIOD * 1e-9)
    return core.tick(feeder.observation(stamp, vector), feeder.now)


def started(make_policy, policy=None, timeout=0.0, simulated_time=False, **changes):
    """(core, feeder) that have run `policy` for three ticks under a contract with these changes."""
    contract = control_contract(**changes)
    core = ControllerCore(contract, timeout, simulated_time=simulated_time)
    feeder = Feeder(core)
    offer(core, policy or constant(make_policy, [0.5, -0.5, 0.25, -1.0], contract))
    for stamp in (1, 2, 3):
        tick(core, feeder, stamp)
    return core, feeder
