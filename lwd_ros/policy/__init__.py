"""The tiny policy: its layout, weights, checks, and the slot that it is swapped in."""

from lwd_ros.policy.layout import PolicyLayout
from lwd_ros.policy.policy import Policy, PolicyError
from lwd_ros.policy.slot import PolicySlot

__all__ = ["Policy", "PolicyError", "PolicyLayout", "PolicySlot"]
