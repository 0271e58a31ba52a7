"""What a controller sends, and its last answer."""

from dataclasses import dataclass

import numpy as np

from lwd_ros.control.observation import Observation

SAFE_STAMP_NS = 0
"""The stamp of safe commands, which answer no observation."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command to send: float64 [commands] in the contract's order and units, and the stamp that it answers.

    Safe commands answer nothing: their stamp is 0. `is_tick` says that a policy computed it just now; a safe command
    and an answer that is sent again are none. `output`, float64 [commands], is what the policy said before limits and
    slew; None where nobody asked to keep it.
    """

    vector: np.ndarray
    stamp_ns: int
    is_tick: bool = False
    output: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The last tick: what was observed, what was commanded, and when it began, s of the steady clock."""

    observation: Observation
    command: Command
    at_s: float
