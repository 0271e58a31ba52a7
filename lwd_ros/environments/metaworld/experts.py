"""The scripted experts that demonstrate: Metaworld's own, and ours where those fail on some layouts or starts."""

import warnings

import numpy as np
from metaworld.policies import ENV_POLICY_MAP

from lwd_ros.environments.metaworld import grasping
from lwd_ros.environments.metaworld.anywhere import ANYWHERE_EXPERTS
from lwd_ros.environments.metaworld.scene import ACTION_SCALE_M, Scene


class DrawerOpenExpert:
    """Opens the drawer from wherever closing it left the hand.

    Metaworld's expert drops onto the handle from anywhere within 6 cm. After closing, the hand stands 3 cm in front of
    the handle, drops there and pushes against it until chance frees it, on 20 to 80 detours. This one first rises,
    comes above the handle within 2 cm, and only then drops behind it; like the original it has no memory.
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
    """Opens the door on layouts where pulling across its handle does not.

    Metaworld's expert asks the hooked hand to go where the handle is. On layouts at the edge, and under noise, that is
    a pull across the handle that friction holds for ever (57 of 60 under noise). This one pulls along the way that the
    handle swings (60 of 60); like the original it has no memory.
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
    """Puts the peg into the hole through a funnel.

    Metaworld's expert goes at full speed to the hole or away from it, by a threshold of 3 cm, and drops a peg that
    slips in the hand by 2.5 cm: 53 of 60. In this one the speed towards the hole falls with the distance from the
    hole's axis and turns back at 2 cm, and a slipped peg is kept (60 of 60); like the original it has no memory.
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
    """Comes down between the wall and the button with equal room on both sides.

    Metaworld's expert comes down from wherever it passed the wall; a policy that passes a centimetre earlier stands on
    the wall for ever. Like the original it has no memory.
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
    """Our experts by task, those for starts anywhere before the others where `anywhere` says so."""
    return OWN_EXPERTS | ANYWHERE_EXPERTS if anywhere else OWN_EXPERTS


def revision(task: str, anywhere: bool = False) -> int:
    """What to raise when an expert changes: a dataset's files state it, so that old and new are not mixed.

    0, which is not stated, for Metaworld's own experts and for ours that were there before files stated anything.
    """
    return getattr(_own(anywhere).get(task), "revision", 0)


class Expert:
    """The expert of a task, the scene's own unless another is named, in the contract's units.

    With `anywhere` it is one that copes with any pose that a hand can be left in; demonstrations that start in such
    poses need it, and the published ones were made without.
    """

    def __init__(self, scene: Scene, task: str = "", anywhere: bool = False):
        task = task or scene.task
        self._policy = _own(anywhere).get(task, ENV_POLICY_MAP[task])()
        self._scene = scene
        speed = ACTION_SCALE_M / scene.contract.period_s
        self._scale = np.array([speed, speed, speed, 1.0])

    def command(self) -> np.ndarray:
        """float64 [commands]: hand velocity in m/s and gripper effort, clipped to what an action can be.

        The experts are proportional controllers whose raw actions reach 12, so unclipped labels would teach a
        saturation that nothing executes.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Constant")  # "may be too high": clipped here
            action = self._policy.get_action(self._scene.raw_observation)
        return np.clip(action, -1.0, 1.0) * self._scale
