"""Limits and slew limits of commands: the one function that evaluation, the simulator and the robot share."""

import numpy as np

from lwd_ros.contract.contract import Contract


class CommandLimiter:
    """Clips commands to the contract's limits and bounds their change from one control period to the next.

    It remembers the last command and outlives policies, so a swap cannot make the command jump.
    """

    def __init__(self, contract: Contract):
        self._minimum, self._maximum = contract.command_limits
        self._slew = contract.command_slew
        self._previous = np.zeros(len(contract.command))
        self._scratch = np.empty_like(self._previous)

    @property
    def previous(self) -> np.ndarray:
        """float64 [commands]: a copy of the last command."""
        return self._previous.copy()

    def reset(self, command: np.ndarray | float = 0.0) -> None:
        """Take `command` as the last one without limiting it; 0 says that the robot is at rest."""
        self._previous[:] = command

    def apply(self, command: np.ndarray, periods: float = 1.0) -> np.ndarray:
        """Limit `command` (float64 [commands], in the contract's units) in place and return it.

        `periods` is the time since the last command in control periods; the slew of more than one is never allowed.
        The command must be finite; the caller checks, because only the caller knows what to do otherwise.
        """
        np.maximum(command, self._minimum, out=command)
        np.minimum(command, self._maximum, out=command)
        share = min(periods, 1.0)
        np.multiply(self._slew, -share, out=self._scratch)
        self._scratch += self._previous
        np.maximum(command, self._scratch, out=command)
        np.multiply(self._slew, share, out=self._scratch)
        self._scratch += self._previous
        np.minimum(command, self._scratch, out=command)
        self._previous[:] = command
        return command
