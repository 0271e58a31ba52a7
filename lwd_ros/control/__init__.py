"""The control tick without ROS: observation assembly, outcomes, safety, statistics."""

from lwd_ros.control.controller import Command, ControllerCore, Outcome
from lwd_ros.control.observation import Observation, ObservationAssembler, StreamError
from lwd_ros.control.statistics import TickStatistics

__all__ = [
    "Command",
    "ControllerCore",
    "Observation",
    "ObservationAssembler",
    "Outcome",
    "StreamError",
    "TickStatistics",
]
