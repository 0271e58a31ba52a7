"""A legged robot's physics: how it starts, what its joints do, which feet touch the floor, when it has fallen."""

import mujoco
import numpy as np

from lwd_ros.environments.gaits.gait import LEGS, Posture
from lwd_ros.environments.gaits.robot import PERIOD_S, Robot

STANDING = (0.8, -1.5)
"""Thigh and calf of a robot that stands, rad: the feet are below the hips."""


class Body:
    """A robot on its floor. Angles are in rad, positions in m; x is forward, y left, z up."""

    LOWEST_M, STEEPEST_RAD = 0.14, 1.0
    """A trunk that is lower, or leans further than this, has fallen."""

    def __init__(self, robot: Robot):
        self.robot = robot
        self.model = mujoco.MjModel.from_xml_path(str(robot.model))
        self.data = mujoco.MjData(self.model)
        self._count = len(robot.joint_names)
        self._substeps = round(PERIOD_S / self.model.opt.timestep)

    def reset(self, layout: int) -> None:
        """Stand near the origin, heading along x, every joint off its place by up to 0.3 rad; `layout` is the seed."""
        rng = np.random.default_rng([layout, 24])
        mujoco.mj_resetData(self.model, self.data)
        hips = (0.0,) * (len(self.robot.joints) - len(STANDING))
        joints = np.tile([*hips, *STANDING], (len(LEGS), 1))
        joints[:, -2:] += rng.uniform(-0.3, 0.3, (len(LEGS), 2))
        joints[:, :-2] += rng.uniform(-0.05, 0.05, (len(LEGS), len(hips)))
        roll, pitch, yaw = rng.uniform(-1.0, 1.0, 3) * (0.05, 0.08, 0.1)
        self.data.qpos[-self._count :] = joints.ravel()
        if self.robot.is_planar:
            self.data.qpos[:3] = 0.0, 0.5, pitch
        else:
            self.data.qpos[:3] = 0.0, 0.0, 0.5
            mujoco.mju_euler2Quat(self.data.qpos[3:7], np.array([yaw, pitch, roll]), "ZYX")
        self.data.qvel[-self._count :] = rng.uniform(-0.5, 0.5, self._count)
        self.data.ctrl[:] = joints.ravel()
        mujoco.mj_kinematics(self.model, self.data)
        feet = [self.data.geom(f"{leg}_foot").xpos[2] - self.model.geom(f"{leg}_foot").size[0] for leg in LEGS]
        self.data.qpos[1 if self.robot.is_planar else 2] -= min(feet)
        mujoco.mj_forward(self.model, self.data)

    def follow(self, other: "Body") -> None:
        """Be in another's state."""
        here, there = self.data, other.data
        here.time = there.time
        for key in ("qpos", "qvel", "ctrl", "qacc_warmstart"):
            getattr(here, key)[:] = getattr(there, key)
        mujoco.mj_forward(self.model, here)

    def step(self, targets: np.ndarray) -> None:
        """One control period under joint targets, float64 [joints] as `Robot.joint_names` has them."""
        self.data.ctrl[:] = targets
        mujoco.mj_step(self.model, self.data, self._substeps)

    @property
    def joints(self) -> np.ndarray:
        """float64 [joints], a view."""
        return self.data.qpos[-self._count :]

    @property
    def joint_speeds(self) -> np.ndarray:
        """float64 [joints], a view."""
        return self.data.qvel[-self._count :]

    @property
    def place(self) -> np.ndarray:
        """float64 [3], of the trunk."""
        position = self.data.qpos
        return np.array([position[0], 0.0, position[1]]) if self.robot.is_planar else position[:3].copy()

    @property
    def quaternion(self) -> np.ndarray:
        """float64 [4] of the trunk: w, x, y, z."""
        if self.robot.is_planar:
            half = 0.5 * self.data.qpos[2]
            return np.array([np.cos(half), 0.0, np.sin(half), 0.0])
        return self.data.qpos[3:7].copy()

    @property
    def angles(self) -> tuple[float, float, float]:
        """Roll, pitch and yaw of the trunk."""
        if self.robot.is_planar:
            return 0.0, float(self.data.qpos[2]), 0.0
        w, x, y, z = self.data.qpos[3:7].tolist()
        roll = np.arctan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
        pitch = np.arcsin(min(1.0, max(-1.0, 2.0 * (w * y - z * x))))
        yaw = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        return float(roll), float(pitch), float(yaw)

    @property
    def turn_rates(self) -> tuple[float, float, float]:
        """About the trunk's own axes, rad/s."""
        if self.robot.is_planar:
            return 0.0, float(self.data.qvel[2]), 0.0
        roll, pitch, yaw = self.data.qvel[3:6].tolist()
        return roll, pitch, yaw

    @property
    def trunk_velocity(self) -> np.ndarray:
        """float64 [3], along the trunk's own axes, m/s."""
        speed = self.data.qvel
        world = np.array([speed[0], 0.0, speed[1]]) if self.robot.is_planar else speed[:3]
        out, back = np.empty(3), np.empty(4)
        mujoco.mju_negQuat(back, self.quaternion)
        mujoco.mju_rotVecQuat(out, np.ascontiguousarray(world), back)
        return out

    @property
    def posture(self) -> Posture:
        """What a gait looks at."""
        shape = (len(LEGS), len(self.robot.joints))
        return Posture(self.joints.reshape(shape), self.joint_speeds.reshape(shape), *self.angles, *self.turn_rates)

    @property
    def contacts(self) -> np.ndarray:
        """bool [4]: which feet press on the floor, as LEGS has them."""
        return self.data.sensordata[: len(LEGS)] > 0.0

    @property
    def has_fallen(self) -> bool:
        """Whether the trunk is too low or leans too far."""
        roll, pitch, _ = self.angles
        height = self.data.qpos[1 if self.robot.is_planar else 2]
        return bool(height < self.LOWEST_M or max(abs(roll), abs(pitch)) > self.STEEPEST_RAD)
