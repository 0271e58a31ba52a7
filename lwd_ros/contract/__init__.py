"""What a policy observes and commands: names, units, limits, period, and how they travel on ROS topics."""

from lwd_ros.contract.binding import Binding, PermissionStream
from lwd_ros.contract.contract import AGE, CommandScalar, Contract, ObservationScalar
from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.fields import Field, Unaddressed, reader, writer
from lwd_ros.contract.frames import GAP_PERIODS, Frames, age_between_s, stacked, told_age_s
from lwd_ros.contract.limits import CommandLimiter, outputs_of
from lwd_ros.contract.quaternions import sign_of
from lwd_ros.contract.rest import KEEP, LAST_COMMAND, ZERO, is_position
from lwd_ros.contract.streams import TF, Qos, Stream

__all__ = [
    "AGE",
    "GAP_PERIODS",
    "KEEP",
    "LAST_COMMAND",
    "TF",
    "ZERO",
    "Binding",
    "CommandLimiter",
    "CommandScalar",
    "Contract",
    "ContractError",
    "Field",
    "Frames",
    "ObservationScalar",
    "PermissionStream",
    "Qos",
    "Stream",
    "Unaddressed",
    "age_between_s",
    "is_position",
    "outputs_of",
    "reader",
    "sign_of",
    "stacked",
    "told_age_s",
    "writer",
]
