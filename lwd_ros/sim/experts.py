"""The scripted experts that demonstrate: Metaworld's own, and ours where a start after another task defeats those."""

import warnings

import numpy as np
from metaworld.policies import ENV_POLICY_MAP

from lwd_ros.sim.scene import ACTION_SCALE_M, Scene


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


OWN_EXPERTS = {"drawer-open-v3": DrawerOpenExpert}


class Expert:
    """The expert of a scene's task, in the contract's units."""

    def __init__(self, scene: Scene):
        self._policy = OWN_EXPERTS.get(scene.task, ENV_POLICY_MAP[scene.task])()
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
