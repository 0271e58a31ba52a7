"""A legged robot as an environment: one gait is one task; the messages it is seen by, what ends an episode."""

from collections.abc import Mapping

import mujoco
import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.environments.environment import Content, Environment, EnvironmentSpec, SimulationError
from lwd_ros.environments.gaits.body import Body
from lwd_ros.environments.gaits.gait import LEGS, Walker
from lwd_ros.environments.gaits.robot import Robot
from lwd_ros.environments.gaits.simulators import EPISODE_STEPS, IMU, JOINTS, ODOMETRY, Teacher
from lwd_ros.environments.messages import MessageReader
from lwd_ros.environments.rendering import MujocoRenderer

JUDGED_STEPS = EPISODE_STEPS - 15
"""From so many steps on a robot that has come far enough has succeeded. A demonstration goes on for 15 steps after its
success, so it is a whole episode."""

FAR_ENOUGH = 0.8
"""Of the way that the gait's own teacher makes in as many steps."""

_UNKNOWN = np.array([-1.0, *[0.0] * 8])  # a covariance that says "no such measurement", see sensor_msgs/msg/Imu
_WORLD, _TRUNK = "odom", "trunk"


class Walking:
    """A robot that goes by joint targets. An episode ends where it falls.

    The task is done when the robot is on its feet after JUDGED_STEPS and has come FAR_ENOUGH in the gait's direction,
    along x; the reward of a step is how far it came in it, m. Observations are read from `messages()`. It has the
    capabilities expert, take over, render and messages.

    Attributes:
        contact_counts: int64 [16], for each pattern of feet on the floor, after how many steps it was found since the
            reset or take-over; foot n of LEGS counts 2**n.
    """

    def __init__(
        self, spec: EnvironmentSpec, task: str, contract: Contract, robot: Robot, teachers: Mapping[str, Teacher]
    ):
        self.spec, self.task, self.contract = spec, task, contract
        self._teachers, self._teacher = teachers, teachers[task]
        self._body = Body(robot)
        self._read = MessageReader(contract, spec)
        # Of each joint, the place of its command.
        self._places = np.array([contract.command_names.index(name) for name in robot.command_names])
        self._names = [f"{name}_joint" for name in robot.joint_names]
        self._limits = self._body.model.actuator_ctrlrange.T
        self.reset(0)

    @property
    def start_command(self) -> np.ndarray:
        """As `Environment.start_command`: every joint stays."""
        command = np.zeros(len(self.contract.command))
        command[self._places] = self._body.data.ctrl
        return command

    def reset(self, layout: int) -> np.ndarray:
        """As `Environment.reset`: standing, every joint off its place."""
        self.layout = int(layout)
        self._body.reset(self.layout)
        return self._begin()

    def _begin(self) -> np.ndarray:
        self.reward, self.ended = 0.0, False
        self._steps, self._start_m = 0, self._along
        self.contact_counts = np.zeros(2 ** len(LEGS), dtype=np.int64)
        return self.observe()

    @property
    def _along(self) -> float:
        """How far along the gait's direction the robot is, m."""
        return self._teacher.direction * float(self._body.data.qpos[0])

    @property
    def distance_m(self) -> float:
        """How far it has come in the gait's direction since the reset or take-over."""
        return self._along - self._start_m

    def observe(self) -> np.ndarray:
        """As `Environment.observe`."""
        return self._read(self.messages())

    def messages(self) -> Mapping[str, Content]:
        """As `SendsMessages.messages`: the trunk's IMU, the joints, the odometry."""
        body = self._body
        w, x, y, z = body.quaternion.tolist()
        roll_rate, pitch_rate, yaw_rate = body.turn_rates
        place, velocity = body.place.tolist(), body.trunk_velocity.tolist()
        turns = {"x": roll_rate, "y": pitch_rate, "z": yaw_rate}
        heading = {"x": x, "y": y, "z": z, "w": w}
        return {
            IMU: {
                "header.frame_id": _TRUNK,
                **{f"orientation.{axis}": value for axis, value in heading.items()},
                **{f"angular_velocity.{axis}": value for axis, value in turns.items()},
                "linear_acceleration_covariance": _UNKNOWN,
            },
            JOINTS: {
                "header.frame_id": _TRUNK,
                "name": self._names,
                "position": body.joints.copy(),
                "velocity": body.joint_speeds.copy(),
                "effort": body.data.actuator_force.copy(),
            },
            ODOMETRY: {
                "header.frame_id": _WORLD,
                "child_frame_id": _TRUNK,
                **{f"pose.pose.position.{axis}": value for axis, value in zip("xyz", place, strict=True)},
                **{f"pose.pose.orientation.{axis}": value for axis, value in heading.items()},
                **{f"twist.twist.linear.{axis}": value for axis, value in zip("xyz", velocity, strict=True)},
                **{f"twist.twist.angular.{axis}": value for axis, value in turns.items()},
            },
        }

    def step(self, command: np.ndarray) -> bool:
        """As `Environment.step`; whether the robot has come far enough, once it is time to judge."""
        before = self._along
        self._body.step(np.asarray(command)[self._places])
        self.reward = self._along - before
        self._steps += 1
        self.contact_counts[int(self._body.contacts @ 2 ** np.arange(len(LEGS)))] += 1
        self.ended = self._body.has_fallen
        if self.ended or self._steps < JUDGED_STEPS:
            return False
        return self.distance_m >= FAR_ENOUGH * self._teacher.distance_m * JUDGED_STEPS / EPISODE_STEPS

    def close(self) -> None:
        """As `Environment.close`; nothing is held."""

    def expert(self, task: str = "", anywhere: bool = False) -> "_Teaching":
        """As `HasExpert.expert`: the gait's teacher, which copes with any state on its feet."""
        return _Teaching(self, self._teachers[task or self.task])

    # Switching

    def sharing(self) -> tuple[str, ...]:
        """As `TakesOver.sharing`: all gaits of the robot."""
        return self.spec.tasks

    def take_over(self, other: Environment) -> np.ndarray:
        """As `TakesOver.take_over`: the robot goes on where it is, and its way counts from here."""
        if not isinstance(other, Walking) or other.spec.name != self.spec.name:
            raise SimulationError(f"task '{self.task}': cannot go on from '{other.task}', expected {self.spec.name}'s")
        self._body.follow(other._body)
        self.layout = other.layout
        return self._begin()

    # Pictures

    def state(self) -> np.ndarray:
        """As `Renders.state`: float64 [positions] of the model."""
        return self._body.data.qpos.copy()

    def renderer(self, height: int = 480, width: int = 640) -> "_Renderer":
        """As `Renders.renderer`: seen from the side; the camera goes along."""
        return _Renderer(mujoco.MjModel.from_xml_path(str(self._body.robot.model)), height, width)


class _Renderer(MujocoRenderer):
    """Goes along with the robot."""

    def __init__(self, model: mujoco.MjModel, height: int, width: int):
        camera = mujoco.MjvCamera()
        camera.distance, camera.azimuth, camera.elevation = 1.6, 90.0, -8.0
        super().__init__(model, height, width, camera)

    def draw(self, state: np.ndarray) -> np.ndarray:
        """As `Renderer.draw`."""
        is_planar = self._model.joint(0).type[0] == mujoco.mjtJoint.mjJNT_SLIDE
        self._camera.lookat[:] = state[0], 0.0 if is_planar else state[1], 0.24
        return super().draw(state)


class _Teaching:
    """A teacher that looks at the robot."""

    def __init__(self, environment: Walking, teacher: Teacher):
        self._environment = environment
        self._walker = Walker(teacher.gait, not environment._body.robot.is_planar)

    def command(self) -> np.ndarray:
        """As `Expert.command`."""
        environment = self._environment
        targets = self._walker.targets(environment._body.posture).ravel()
        command = np.empty(len(targets))
        command[environment._places] = np.clip(targets, *environment._limits)
        return command
