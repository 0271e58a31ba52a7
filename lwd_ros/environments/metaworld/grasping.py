"""Scripted experts that take something into the hand and bring it somewhere.

Metaworld's own begin to close while they still come down, and lift by where the hand is, not by whether it holds
anything. Where the thing has moved a centimetre, the closed fingers press on it from above for ever: on some layouts
without any noise, on many with it. These close at the bottom, move by how far the fingers have closed, and rise to try
again where they closed on nothing. Like the originals they have no memory. All read Metaworld's observation [39] and
return an action [4], not clipped.
"""

from abc import ABC, abstractmethod

import numpy as np

GAIN = 25.0  # action per m of distance; an action of 1 is full speed


class GraspExpert(ABC):
    """Reach above the thing, come down with open fingers, close, and carry it; what differs is in the attributes.

    Attributes:
        hover: m above the grip point at which the hand arrives.
        low: m above the grip point, below which the fingers close.
        held: opening of the gripper, 0 to 1, below which they hold the thing.
        revision: see `lwd_ros.environments.metaworld.experts.revision`.
    """

    revision = 1
    hover, low, held = 0.15, 0.045, 0.7

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, opening, point = observation[:3], observation[3], self.grip_point(observation)
        beside, above = np.linalg.norm(hand[:2] - point[:2]), hand[2] - point[2]
        closed = opening < self.held
        if beside > 0.03:
            delta = GAIN * (point + np.array([0.0, 0.0, self.hover]) - hand)
            if beside < 0.15:  # rise before the fingers could sweep the thing away
                delta[:2] *= np.clip((above / self.hover - 0.4) / 0.2, 0.0, 1.0)
            return np.append(delta, -1.0)
        if above > self.low + (0.02 if closed else 0.0):  # a thing that slips a little in the hand is kept
            delta = GAIN * (point - hand)
            if closed:  # on nothing
                delta[2] = 10.0
            return np.append(delta, -1.0)
        share = np.clip((self.held + 0.1 - opening) / 0.1, 0.0, 1.0)
        return np.append((1.0 - share) * GAIN * (point - hand) + share * self.carry(observation), 1.0)

    def grip_point(self, observation: np.ndarray) -> np.ndarray:
        """Where to take hold, in m: [3]."""
        return observation[4:7]

    @abstractmethod
    def carry(self, observation: np.ndarray) -> np.ndarray:
        """What a closed hand does next, as an action: [3]."""


def _ramp(value: float | np.floating, start: float, width: float) -> float:
    """0 below `start`, 1 above `start + width`: a threshold that a small network can learn."""
    return float(np.clip((value - start) / width, 0.0, 1.0))


class BasketballExpert(GraspExpert):
    """Lifts the ball above the hoop, and goes across only there."""

    low, held = 0.036, 0.68

    def carry(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.carry`."""
        ball, goal = observation[4:7], observation[36:39]
        delta = goal - ball
        away = np.linalg.norm(delta[:2])
        delta[2] += 0.02 + 0.05 * _ramp(away, 0.0, 0.08)
        if away > 0.04:
            delta[:2] *= _ramp(ball[2] - goal[2], -0.01, 0.04)
        return GAIN * delta


class SoccerExpert(GraspExpert):
    """Drags the ball, in line with the goal before it enters between the posts."""

    low, held = 0.036, 0.75

    def carry(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.carry`."""
        ball, goal = observation[4:7], observation[36:39]
        delta = goal - ball
        delta[2] = 0.026 - ball[2]
        if delta[1] < 0.12:
            delta[1] *= _ramp(-abs(delta[0]), -0.06, 0.03)
        return GAIN * delta


class SweepIntoExpert(GraspExpert):
    """Pulls the cube along the table to the hole."""

    low, held = 0.03, 0.75

    def carry(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.carry`."""
        hand, cube, goal = observation[:3], observation[4:7], observation[36:39]
        delta = GAIN * (goal - cube)
        delta[2] = 5.0 * (cube[2] + 0.025 - hand[2])
        return delta


class PushBackExpert(GraspExpert):
    """Pulls the puck back along the table."""

    low, held = 0.044, 0.75

    def carry(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.carry`."""
        hand, puck, goal = observation[:3], observation[4:7], observation[36:39]
        delta = goal - puck
        delta[2] = 0.065 - hand[2]
        return GAIN * delta


class BoxCloseExpert(GraspExpert):
    """Lifts the lid by its handle and lowers it onto the box."""

    hover, low, held = 0.2, 0.068, 0.4

    def carry(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.carry`."""
        lid, goal = observation[4:7], observation[36:39]
        delta = goal - lid
        delta[2] += 0.02
        delta[:2] *= _ramp(lid[2], 0.09, 0.04)
        return GAIN * delta


class DisassembleExpert(GraspExpert):
    """Takes the wrench 2 cm from the end of its handle, wherever that points, and lifts it off the peg."""

    held = 0.8

    def grip_point(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.grip_point`. Metaworld's reaches for the same point as if every handle pointed along x."""
        handle = observation[4:7] - observation[36:39]
        handle[2] = 0.0
        return observation[4:7] - 0.02 * handle / np.linalg.norm(handle)

    def carry(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.carry`."""
        return np.array([0.0, 0.0, 10.0])


class AssemblyExpert(GraspExpert):
    """Lifts the wrench by its handle, brings its ring over the peg, and lowers it."""

    def grip_point(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.grip_point`."""
        return observation[4:7] + np.array([-0.02, 0.0, 0.0])

    def carry(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.carry`; the ring's centre is 13 cm from the point of the handle that is observed."""
        handle, goal = observation[4:7], observation[36:39]
        delta = goal + np.array([0.13, 0.0, 0.0]) - handle
        away = np.linalg.norm(delta[:2])
        delta[2] = 0.2 * _ramp(away, 0.01, 0.02) - handle[2]
        if away > 0.03:
            delta[:2] *= _ramp(handle[2], 0.15, 0.03)
        return GAIN * delta


class StickPullExpert(GraspExpert):
    """Puts the stick through the thermos' handle and draws the handle, not the hand, to the goal."""

    hover, low, held = 0.1, 0.036, 0.55

    def grip_point(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.grip_point`."""
        return observation[4:7] + np.array([-0.015, 0.0, 0.0])

    def carry(self, observation: np.ndarray) -> np.ndarray:
        """As `GraspExpert.carry`."""
        stick, handle, goal = observation[4:7], observation[11:14], observation[36:39]
        insert = handle + np.array([-0.02, 0.005, -0.004]) - stick
        insert[0] *= _ramp(-np.linalg.norm(insert[1:]), -0.025, 0.01)
        draw = goal - handle
        draw[2] = insert[2]
        inserted = _ramp(stick[0] - handle[0], -0.045, 0.01)
        return GAIN * ((1.0 - inserted) * insert + inserted * draw)
