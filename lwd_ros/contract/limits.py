"""From a policy's outputs to commands: offsets, limits, slew limits, rest. Evaluation, simulator and robot share it."""

import numpy as np

from lwd_ros.contract.contract import Contract
from lwd_ros.contract.rest import KEEP, LAST_COMMAND, is_position


class CommandLimiter:
    """Turns outputs into commands within the contract's limits, and bounds their change from one period to the next.

    It remembers the last command and outlives policies, so a swap cannot make the command jump. At the start every
    command is at rest: at 0, or where its rest is an observed scalar (a position), where that is measured to be. Such
    commands are unknown until a measurement says it (`start`).

    Outputs that are relative to a measured scalar or to the last command are offsets to that; limits and slew apply to
    the sum. An offset of 0 is rest: the last command stays, for a soft arm would sag a little further each time that
    the measured place becomes the commanded one.
    """

    def __init__(self, contract: Contract):
        self._minimum, self._maximum = contract.command_limits
        self._slew = contract.command_slew
        self._kept = np.array([rest == KEEP for rest in contract.rests])
        positions = [place for place, rest in enumerate(contract.rests) if is_position(rest)]
        self._targets = np.array(positions, dtype=np.int64)
        self._measured = np.array([contract.places(contract.rests[place])[0] for place in positions], dtype=np.int64)
        references = [scalar.relative_to or "" for scalar in contract.command]
        self._to_last = np.array([reference == LAST_COMMAND for reference in references])
        relative = [i for i, reference in enumerate(references) if reference not in ("", LAST_COMMAND)]
        self._relative = np.array(relative, dtype=np.int64)
        self._references = np.array([contract.places(references[i])[0] for i in relative], dtype=np.int64)
        self._offsets = bool(len(relative) or self._to_last.any())
        self._previous = np.zeros(len(contract.command))
        self._rest = np.zeros(len(contract.command))
        self._started = not self.has_positions
        # Not those of `keep_on_hold`: what was trained and measured with them starts from 0.
        self._grippers = np.array([scalar.rest == KEEP for scalar in contract.command])
        self._unknown = self._grippers.copy()
        self._scratch = np.empty_like(self._previous)

    @property
    def previous(self) -> np.ndarray:
        """float64 [commands]: a copy of the last command."""
        return self._previous.copy()

    @property
    def has_positions(self) -> bool:
        """Whether some command rests where an observed scalar is measured."""
        return bool(len(self._targets))

    @property
    def at_rest(self) -> bool:
        """Whether every position was commanded where it rests."""
        return bool((self._previous[self._targets] == self._rest[self._targets]).all())

    def start(self, observation: np.ndarray) -> None:
        """The robot is where `observation` (float64 [observations]) measures it; nothing was sent lately.

        Where grippers are that say `rest: keep`, nobody knows: their next command is not slew-limited.
        """
        self._unknown[:] = self._grippers
        self._previous[self._targets] = self._rest[self._targets] = observation[self._measured]
        self._started = True

    def latch(self, observation: np.ndarray) -> None:
        """Let positions rest where `observation` measures them, until the next call.

        A command that has been at rest since the last call stays there: a soft arm that sags below its commands would
        sag a little further at each hold.
        """
        moved = self._previous[self._targets] != self._rest[self._targets]
        self._rest[self._targets[moved]] = observation[self._measured[moved]]

    def rest(self, periods: float, keeps: bool = True) -> np.ndarray:
        """float64 [commands]: at rest, the next command from here; it counts as sent.

        Velocities and efforts are 0 at once. Positions approach where they rest, by `periods` control periods of slew,
        also where that is outside the limits: to bring a robot back inside is a policy's work. What is kept is kept, or
        is 0 where `keeps` is false.
        """
        target = np.where(self._kept, self._previous if keeps else 0.0, 0.0)
        before, share = self._previous[self._targets], min(periods, 1.0)
        reach = share * self._slew[self._targets]
        target[self._targets] = np.clip(self._rest[self._targets], before - reach, before + reach)
        self._previous[:] = target
        return target

    def reset(self, command: np.ndarray | float = 0.0) -> None:
        """Take `command` as the last one without limiting it; 0 says that the robot is at rest."""
        self._previous[:] = command
        self._rest[:] = self._previous
        self._unknown[:] = False
        self._started = True

    def release(self) -> None:
        """Nothing commands the robot any more: velocities and efforts are 0, positions and grippers as they were."""
        moving = ~self._kept
        moving[self._targets] = False
        self._previous[moving] = 0.0

    def resume(self, command: np.ndarray) -> None:
        """The robot was told `command` after all; where it rests stays as it was."""
        self._previous[:] = command

    def apply(self, command: np.ndarray, periods: float = 1.0, observation: np.ndarray | None = None) -> np.ndarray:
        """Turn a policy's output (float64 [commands], in the contract's units) into a command, in place; returns it.

        `periods` is the time since the last command in control periods; the slew of more than one is never allowed.
        `observation` (float64 [observations]) is the frame it answers; needed where a command is relative to a
        measured scalar or rests at one. The output must be finite; the caller checks, because only the caller knows
        what to do otherwise.
        """
        if not self._started:
            assert observation is not None, "a command rests at a measured scalar"
            self.start(observation)
        if self._offsets:
            self._to_targets(command, observation)
        if self._unknown.any():
            np.copyto(self._previous, np.clip(command, self._minimum, self._maximum), where=self._unknown)
            self._unknown[:] = False
        self._limit(command, periods)
        self._previous[:] = command
        return command

    def _to_targets(self, command: np.ndarray, observation: np.ndarray | None) -> None:
        """Turn offsets into what they are offsets to, in place."""
        if len(self._relative):
            assert observation is not None, "a command is relative to a measured scalar"
            offsets = command[self._relative]
            moved = observation[self._references] + offsets
            command[self._relative] = np.where(offsets == 0.0, self._previous[self._relative], moved)
        np.add(command, self._previous, out=command, where=self._to_last)

    def _limit(self, command: np.ndarray, periods: float) -> None:
        np.maximum(command, self._minimum, out=command)
        np.minimum(command, self._maximum, out=command)
        share = min(periods, 1.0)
        np.multiply(self._slew, -share, out=self._scratch)
        self._scratch += self._previous
        np.maximum(command, self._scratch, out=command)
        np.multiply(self._slew, share, out=self._scratch)
        self._scratch += self._previous
        np.minimum(command, self._scratch, out=command)


def outputs_of(contract: Contract, commands: np.ndarray, observations: np.ndarray) -> np.ndarray:
    """What a policy has to output for commands: the inverse of the offsets of `CommandLimiter`, for training.

    Args:
        contract: whose commands may be relative.
        commands: float64 [steps, commands], one episode's, in the contract's units.
        observations: float64 [steps, observations], what was observed at each step.

    Returns:
        float64 [steps, commands]. Before the first step, a command that is relative to the last one is at rest.
    """
    outputs = commands.copy()
    for place, (scalar, rest) in enumerate(zip(contract.command, contract.rests, strict=True)):
        if scalar.relative_to == LAST_COMMAND:
            first = observations[0, contract.places(rest)[0]] if is_position(rest) else 0.0
            outputs[:, place] -= np.concatenate([[first], commands[:-1, place]])
        elif scalar.relative_to is not None:
            outputs[:, place] -= observations[:, contract.places(scalar.relative_to)[0]]
    return outputs
