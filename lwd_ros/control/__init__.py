"""The control tick without ROS: observation assembly, outcomes, safety, pacing, statistics."""

from lwd_ros.control.controller import Command, ControllerCore, Outcome
from lwd_ros.control.intake import PolicyIntake
from lwd_ros.control.observation import Observation, ObservationAssembler, StreamError
from lwd_ros.control.pacing import Pacer
from lwd_ros.control.process import InterpreterGuard, request_scheduling, yield_to_others
from lwd_ros.control.statistics import Moments, TickStatistics

__all__ = [
    "Command",
    "ControllerCore",
    "InterpreterGuard",
    "Moments",
    "Observation",
    "ObservationAssembler",
    "Outcome",
    "Pacer",
    "PolicyIntake",
    "StreamError",
    "TickStatistics",
    "request_scheduling",
    "yield_to_others",
]
