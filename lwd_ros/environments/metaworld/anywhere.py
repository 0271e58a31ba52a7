"""Experts that cope with any pose a hand can be left in: behind the handle, beside it, against something.

Metaworld's experts, and ours of `experts.py`, cut corners that fresh starts never show. Where something may
stand in the way, these come out from under it, rise straight, and only then go across. Like the others they have no
memory: an action follows from the present observation alone.
"""

import numpy as np


def _share(value: float, start: float, end: float) -> float:
    """How far `value` has come from `start` (0) to `end` (1)."""
    return float(np.clip((value - start) / (end - start), 0.0, 1.0))


class DoorCloseExpert:
    """Pushes the leaf from its outer side, between hinge and handle; a hand elsewhere rises and goes over the door.

    Metaworld's pushes wherever the hand is: from over or behind a half-open door, open. All this one does is seen from
    the door: along the leaf from its hinge, off the leaf (negative: on the outer side), and up. At the height at which
    it pushes, the fingers pass over the handle, which so is in no way.
    """

    revision = 1

    _CLOSED = np.arctan2(-0.107, 0.375)  # direction of the handle from the hinge while the door is closed

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, handle, goal = observation[:3], observation[4:7], observation[36:39]
        hinge = goal[:2] + np.array([-0.385, 0.1])
        arm = handle[:2] - hinge
        angle = np.arctan2(arm[1], arm[0]) - self._CLOSED
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        along, off = turn.T @ (hand[:2] - hinge)
        up = hand[2]
        needed = 0.02 + 0.05 * _share(up, 0.27, 0.31)  # off the leaf, for a hand that comes down beside it
        outside = _share(off, 0.02 - needed, -needed)
        low = outside * _share(along, 0.02, 0.08)  # not onto the frame
        free = max(
            _share(up, 0.32, 0.345),  # over door and frame
            outside * _share(up, 0.19, 0.215),  # over the handle
            outside * _share(along, 0.28, 0.25) * _share(along, 0.0, 0.05),  # beside it
            _share(off, -0.14, -0.17),  # before it
        )
        beside = along - 0.2
        push = outside * _share(abs(beside), 0.1, 0.05) * _share(up, 0.31, 0.28)
        closing = _share(-angle, 0.02, 0.12)
        delta = np.empty(3)
        delta[:2] = turn @ (free * np.array([-10.0 * beside, push * closing + (1.0 - push) * 10.0 * (-0.1 - off)]))
        delta[2] = 10.0 * (low * 0.235 + (1.0 - low) * 0.39 - up)
        # Under the frame, which is as deep as the hinge: out of it first.
        behind = hand[1] - hinge[1]
        under = _share(behind, -0.075, -0.05) * _share(up, 0.345, 0.32)
        under *= _share(abs(hand[0] - hinge[0] - 0.185), 0.29, 0.26)
        delta *= 1.0 - under
        delta[1] -= under * 10.0 * (behind + 0.09)
        return np.append(delta, 1.0)


class DoorOpenExpert:
    """Hooks the hand behind the handle, wherever the door stands, and pulls along its arc.

    The one of `experts.py` pulls as soon as the hand is near the handle, also from its front, where it holds nothing
    (99 of 120 starts in eight kinds of places; this one 240 of 240).
    """

    revision = 2  # 1: its starts came after, and drifted with, Metaworld's expert of door-close

    _CLOSED = np.arctan2(-0.107, 0.375)  # direction of the handle from the hinge while the door is closed

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, handle, goal = observation[:3], observation[4:7], observation[36:39]
        hinge = goal[:2] + np.array([0.115, 0.35])
        arm = handle[:2] - hinge
        angle = np.arctan2(arm[1], arm[0]) - self._CLOSED
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        beside = turn.T @ (hand[:2] - handle[:2]) - np.array([0.015, 0.025])  # from the hook's place, along the door
        above = hand[2] - handle[2]
        if abs(above) < 0.05 and abs(beside[0]) < 0.05 and -0.025 < beside[1] < 0.05:
            delta = np.append(turn @ np.array([-10.0 * beside[0], -2.0]), -10.0 * above)
        elif np.linalg.norm(beside) < 0.03:
            delta = np.append(turn @ (-10.0 * beside), -25.0 * above)
        else:
            under = hand[1] - hinge[1]  # the frame over the door is as deep as its hinge
            across, out = _share(above, 0.15, 0.2), _share(under, -0.04, -0.065)
            delta = np.append(turn @ (-10.0 * beside) * across, 10.0 * (0.22 - above) * out)
            delta[1] -= (1.0 - across) * 25.0 * max(0.0, under + 0.075)
        return np.append(delta, 1.0)


class WindowExpert:
    """Pushes the window's handle from its side; a hand behind or beside the window rises before it goes across."""

    revision = 1
    side = 0.0
    height = 0.0

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, handle = observation[:3], observation[4:7]
        place = handle + np.array([0.03 * self.side, -0.03, -0.08])
        way = place - hand
        if np.linalg.norm(way[:2]) > 0.04:
            delta = way + np.array([0.0, 0.0, self.height])
            behind, above = hand[1] - handle[1], hand[2] - handle[2]
            if behind > -0.05:  # the frame reaches over the hand: away from it first
                low = 1.0 - _share(above, 0.12, 0.18)
                delta[0] *= 1.0 - low
                if behind < 0.1:
                    delta[1] -= low * max(0.0, behind + 0.02)
                    delta[2] *= max(1.0 - low, _share(behind, 0.05, 0.01))
                else:
                    low = 1.0 - _share(above, 0.18, 0.22)
                    delta[:2] = (1.0 - low) * delta[0], (1.0 - low) * delta[1] + low * 0.2
        elif abs(way[2]) > 0.02:
            delta = way
        else:
            delta = way + np.array([-0.1 * self.side, 0.0, 0.0])
        return np.append(25.0 * delta, 1.0)


class WindowOpenExpert(WindowExpert):
    """From the left to the right."""

    side, height = -1.0, 0.34


class WindowCloseExpert(WindowExpert):
    """From the right to the left."""

    side, height = 1.0, 0.34


class HandlePressExpert:
    """Presses from above; a hand that is lower than the handle first comes out to the front."""

    revision = 1

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, handle = observation[:3], observation[4:7]
        way = handle + np.array([0.0, -0.02, 0.0]) - hand
        above = -way[2]
        if above > -0.03 and np.linalg.norm(way[:2]) < 0.02:
            delta = way + np.array([0.0, 0.0, -0.5])
        else:
            delta = way + np.array([0.0, 0.0, 0.2])
            free = _share(above, 0.0, 0.06)
            delta[0] *= free
            delta[1] = free * delta[1] + (1.0 - free) * min(0.0, way[1] - 0.12)
            delta[2] *= max(free, _share(way[1], 0.06, 0.1))
        return np.append(25.0 * delta, -1.0)


class DoorUnlockExpert:
    """Turns the lock from its left; a hand elsewhere rises out of what is around, goes across, and comes down there."""

    revision = 1

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, lock = observation[:3], observation[4:7] + np.array([-0.04, -0.02, -0.03])
        way = lock - hand
        before = way + np.array([-0.04, -0.04, 0.0])  # to where the hand comes down
        if np.linalg.norm(way[:2]) < 0.02:
            delta = way + np.array([0.1, 0.0, 0.01])
        elif abs(way[2]) < 0.03 and -0.02 < way[0] < 0.12 and -0.02 < way[1] < 0.12:
            delta = way
        elif np.linalg.norm(before[:2]) < 0.03:
            delta = before
        else:
            delta = before + np.array([0.0, 0.0, 0.2])
            delta[:2] *= _share(-way[2], 0.12, 0.18)
        return np.append(25.0 * delta, 1.0)


ANYWHERE_EXPERTS = {
    "door-close-v3": DoorCloseExpert,
    "door-open-v3": DoorOpenExpert,
    "door-unlock-v3": DoorUnlockExpert,
    "handle-press-v3": HandlePressExpert,
    "window-close-v3": WindowCloseExpert,
    "window-open-v3": WindowOpenExpert,
}
"""In the place of those of `experts.py`, for demonstrations that start anywhere."""
