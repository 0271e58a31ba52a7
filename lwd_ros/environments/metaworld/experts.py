"""The scripted experts that demonstrate: Metaworld's own, and ours where those fail on some layouts or starts."""

import warnings
from typing import Any

import numpy as np
from metaworld.policies import ENV_POLICY_MAP

from lwd_ros.environments.metaworld import grasping, way_experts
from lwd_ros.environments.metaworld.anywhere import ANYWHERE_EXPERTS
from lwd_ros.environments.metaworld.scene import ACTION_SCALE_M, Scene
from lwd_ros.environments.metaworld.ways import SEVERAL, metaworld_name


class DrawerOpenExpert:
    """Opens the drawer, also from the place where a closing hand ends.

    Metaworld's expert drops onto the handle from anywhere within 6 cm. After closing, the hand is 3 cm in front of the
    handle. It drops there and pushes against the handle, on 20 to 80 detours, until noise frees it. This expert first
    rises, moves above the handle to within 2 cm, and then drops behind it. Like the original it has no memory.
    """

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, handle = observation[:3], observation[4:7] + np.array([0.0, 0.0, -0.02])
        beside = np.linalg.norm(hand[:2] - handle[:2])
        above = hand[2] - handle[2]
        if abs(above) < 0.04 and beside < 0.04:
            delta = (handle + np.array([0.0, -0.06, 0.0]) - hand) * np.array([10.0, 50.0, 10.0])
        elif beside < 0.02:
            delta = (handle - hand) * 4.0
        elif above < 0.12:
            delta = np.array([0.0, 0.0, 10.0 * (0.18 - above)])
        else:
            delta = (handle + np.array([0.0, 0.0, 0.16]) - hand) * 10.0
        return np.append(delta, -1.0)


class DoorOpenExpert:
    """Opens the door by a pull along the arc of its handle.

    Metaworld's expert moves the hooked hand towards the handle's own position. On layouts at the edge, and under noise,
    this is a pull across the handle, which friction can hold for ever (57 of 60 episodes succeed under noise). With
    this expert 60 of 60 do. Like the original it has no memory.
    """

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, handle = observation[:3], observation[4:7] + np.array([-0.05, 0.0, 0.0])
        if np.linalg.norm(hand[:2] - handle[:2]) > 0.12:
            target = handle + np.array([0.06, 0.02, 0.2])
        elif abs(hand[2] - handle[2]) > 0.04:
            target = handle + np.array([0.06, 0.02, 0.0])
        else:
            target = handle + np.array([-0.05, -0.05, 0.0])
        return np.append(25.0 * (target - hand), 1.0)


class PegInsertExpert:
    """Puts the peg into the hole at a speed that falls with the distance from the hole's axis.

    Metaworld's expert moves at full speed, towards the hole within 3 cm of its axis and away from it beyond. It drops a
    peg that slips in the hand by 2.5 cm. 53 of 60 episodes succeed. This expert stops at 2 cm from the axis, moves away
    beyond, and keeps a slipped peg: 60 of 60. Like the original it has no memory.
    """

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, gripper, peg, goal = observation[:3], observation[3], observation[4:7], observation[36:39]
        beside, above = np.linalg.norm(hand[:2] - peg[:2]), abs(hand[2] - peg[2])
        grip = -1.0 if beside > 0.04 or above > 0.15 else 0.6
        if beside > 0.04:
            delta = 25.0 * (peg + np.array([0.0, 0.0, 0.3]) - hand)
        elif above > (0.045 if gripper < 0.5 else 0.025):
            delta = 25.0 * (peg - hand)
        else:
            axis = np.array([goal[1], 0.16])  # of the hole, as high as the hand that holds the peg 2.5 cm lower
            outside = np.linalg.norm(peg[1:] - (axis - np.array([0.0, 0.025]))) - 0.02
            back = np.clip(50.0 * outside, -1.0, 1.0)
            along = back if back < 0.0 else back * np.clip(25.0 * (0.08 - hand[0]), -1.0, 1.0)
            delta = np.append(along, 25.0 * (axis - hand[1:]))
        return np.append(delta, grip)


class ButtonPressWallExpert:
    """Descends midway between the wall and the button.

    Metaworld's expert descends at the point where it has passed the wall. A policy that passes a centimetre too early
    ends on top of the wall and stays there. Like the original this expert has no memory.
    """

    revision = 1

    def get_action(self, observation: np.ndarray) -> np.ndarray:
        """Metaworld's observation [39] to an action [4], not clipped."""
        hand, button = observation[:3], observation[4:7] + np.array([0.0, 0.0, 0.04])
        delta = button + np.array([0.0, -0.03, 0.0]) - hand
        if -0.02 <= hand[2] - button[2] <= 0.03:
            delta[1] = 0.3
        elif button[1] - hand[1] > 0.05:
            beside = abs(delta[0])
            delta[2] = 0.3 - hand[2]
            delta[1] *= np.clip((hand[2] - 0.24) / 0.04, 0.0, 1.0) * np.clip((0.04 - beside) / 0.02, 0.0, 1.0)
        return np.append(25.0 * delta, 1.0)


OWN_EXPERTS = {
    "assembly-v3": grasping.AssemblyExpert,
    "basketball-v3": grasping.BasketballExpert,
    "box-close-v3": grasping.BoxCloseExpert,
    "button-press-wall-v3": ButtonPressWallExpert,
    "disassemble-v3": grasping.DisassembleExpert,
    "door-open-v3": DoorOpenExpert,
    "drawer-open-v3": DrawerOpenExpert,
    "peg-insert-side-v3": PegInsertExpert,
    "push-back-v3": grasping.PushBackExpert,
    "soccer-v3": grasping.SoccerExpert,
    "stick-pull-v3": grasping.StickPullExpert,
    "sweep-into-v3": grasping.SweepIntoExpert,
}


def _own(anywhere: bool) -> dict:
    """Our experts by task; with `anywhere`, those for starts anywhere take precedence."""
    return OWN_EXPERTS | ANYWHERE_EXPERTS if anywhere else OWN_EXPERTS


def revision(task: str, anywhere: bool = False) -> int:
    """The version of a task's expert. Raise it with every change: datasets record it, so old and new are not mixed.

    0 for Metaworld's experts, and for those of ours that are older than the record. 0 is not written.
    """
    if task in SEVERAL:
        return way_experts.REVISION
    return getattr(_own(anywhere).get(task), "revision", 0)


class Expert:
    """The expert of a task in the contract's units; without `task`, that of the scene's task.

    `anywhere` chooses an expert for starts in any pose of the hand. The published demonstrations were made without it.
    A `policy`, whose `get_action` takes Metaworld's observation [39] to an action [4], acts instead of the task's own.
    """

    def __init__(self, scene: Scene, task: str = "", anywhere: bool = False, policy: Any = None):
        task = metaworld_name(task or scene.task)
        self._policy = policy or _own(anywhere).get(task, ENV_POLICY_MAP[task])()
        self._scene = scene
        speed = ACTION_SCALE_M / scene.contract.period_s
        self._scale = np.array([speed, speed, speed, 1.0])

    def command(self) -> np.ndarray:
        """float64 [commands]: hand velocity in m/s and gripper effort, clipped to what an action can be.

        The experts are proportional controllers, and their raw actions reach 12. Unclipped labels would teach a
        saturation that no robot executes.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Constant")  # "may be too high": clipped here
            action = self._policy.get_action(self._scene.raw_observation)
        return np.clip(action, -1.0, 1.0) * self._scale
