"""The control tick without ROS: observation assembly, modes, slew, admission of policies, turns, statistics."""

from lwd_ros.control.admission import Admission, Publication
from lwd_ros.control.age import ToldAge
from lwd_ros.control.command import Command
from lwd_ros.control.controller import ControllerCore
from lwd_ros.control.intake import PolicyIntake
from lwd_ros.control.mode import (
    TRANSITIONS,
    Event,
    Forbidden,
    Holding,
    Mode,
    Outcome,
    Running,
    Sent,
    Stopped,
    Transition,
    WaitingForObservation,
    WaitingForPolicy,
)
from lwd_ros.control.observation import Observation, ObservationAssembler, StreamError
from lwd_ros.control.pacing import Pacer
from lwd_ros.control.permission import Permission
from lwd_ros.control.process import InterpreterGuard, request_scheduling, yield_to_others
from lwd_ros.control.slew import SlewBudget
from lwd_ros.control.statistics import Moments, TickStatistics
from lwd_ros.control.timing import ClockProblem, RateMeter, StreamTiming, TickRate
from lwd_ros.control.turns import Turns

__all__ = [
    "TRANSITIONS",
    "Admission",
    "ClockProblem",
    "Command",
    "ControllerCore",
    "Event",
    "Forbidden",
    "Holding",
    "InterpreterGuard",
    "Mode",
    "Moments",
    "Observation",
    "ObservationAssembler",
    "Outcome",
    "Pacer",
    "Permission",
    "PolicyIntake",
    "Publication",
    "RateMeter",
    "Running",
    "Sent",
    "SlewBudget",
    "Stopped",
    "StreamError",
    "StreamTiming",
    "TickRate",
    "TickStatistics",
    "ToldAge",
    "Transition",
    "Turns",
    "WaitingForObservation",
    "WaitingForPolicy",
    "request_scheduling",
    "yield_to_others",
]
