"""What a policy observes and commands: names, units, limits, period, and how they travel on ROS topics."""

from lwd_ros.contract.binding import Binding, Stream
from lwd_ros.contract.contract import AGE, CommandScalar, Contract, ObservationScalar
from lwd_ros.contract.errors import ContractError
from lwd_ros.contract.fields import Field, Unaddressed, reader, writer
from lwd_ros.contract.limits import CommandLimiter
from lwd_ros.contract.quaternions import sign_of

__all__ = [
    "AGE",
    "Binding",
    "CommandLimiter",
    "CommandScalar",
    "Contract",
    "ContractError",
    "Field",
    "ObservationScalar",
    "Stream",
    "Unaddressed",
    "reader",
    "sign_of",
    "writer",
]
