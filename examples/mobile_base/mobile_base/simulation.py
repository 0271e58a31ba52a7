"""The base in MuJoCo, as an environment of lwd_ros that speaks messages."""

from collections.abc import Mapping

import mujoco
import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.environments import gl  # noqa: F401, chooses how MuJoCo draws
from lwd_ros.environments.environment import EnvironmentSpec
from lwd_ros.environments.messages import MessageReader
from lwd_ros.environments.rendering import MujocoRenderer
from mobile_base.driver import Driver
from mobile_base.layouts import layout_of
from mobile_base.simulator import FOLDER, PERIOD_S
from mobile_base.success import Judge

WHEEL_RADIUS, HALF_TRACK = 0.035, 0.11
BEAMS, REACH_M, NEAREST_M = 360, 8.0, 0.05
SCAN_NOISE_M = 0.005


class MobileBase:
    """One task; see `lwd_ros.environments.environment.Environment`.

    The simulated robot does what a TurtleBot's driver does: it turns a velocity into speeds of two wheels, adds up
    what the wheels turned to an odometry that slips and drifts, and sends a noisy scan of 360 beams.
    """

    def __init__(self, spec: EnvironmentSpec, task: str, contract: Contract):
        self.spec, self.task, self.contract = spec, task, contract
        self._model = mujoco.MjModel.from_xml_path(str(FOLDER / "scene.xml"))
        self._data = mujoco.MjData(self._model)
        self._substeps = round(PERIOD_S / self._model.opt.timestep)
        self._read = MessageReader(contract, spec)
        named = self._model.body
        self._base, self._dock, self._pillar = (named(name).id for name in ("base", "dock", "pillar"))
        self._hull, self._floor = (self._model.geom(name).id for name in ("hull", "floor"))
        self._wheels = [self._model.joint(f"wheel_{side}").dofadr[0] for side in ("left", "right")]
        angles = -np.pi + np.arange(BEAMS) * (2.0 * np.pi / BEAMS)
        self._beams = np.stack([np.cos(angles), np.sin(angles), np.zeros(BEAMS)], axis=1)
        self._groups = np.array([0, 1, 0, 0, 0, 0], dtype=np.uint8)  # a lidar sees walls, and not the robot itself
        self.reset(0)

    @property
    def start_command(self) -> np.ndarray:
        """As `Environment.start_command`: it stands."""
        return np.zeros(len(self.contract.command))

    def reset(self, layout: int) -> np.ndarray:
        """As `Environment.reset`."""
        self.layout, self.reward, self.ended = int(layout), 0.0, False
        self.scene = layout_of(self.task, self.layout)
        self._rng = np.random.default_rng([self.layout, 1])
        mujoco.mj_resetData(self._model, self._data)
        x, y, heading = self.scene.start
        self._data.qpos[:7] = x, y, 0.05, np.cos(heading / 2), 0.0, 0.0, np.sin(heading / 2)
        self._data.mocap_pos[self._model.body_mocapid[self._dock]] = self.scene.dock_x, 0.0, 0.0
        self._data.mocap_pos[self._model.body_mocapid[self._pillar]] = *self.scene.pillar, 0.0
        mujoco.mj_forward(self._model, self._data)
        for _ in range(self._substeps):  # it comes to stand on its wheels
            mujoco.mj_step(self._model, self._data)
        self._odometry = self.pose + self.scene.drift
        self._measured = np.zeros(2)
        self._judge = Judge(self.task, self.scene)
        self._sense()
        return self.observe()

    @property
    def pose(self) -> np.ndarray:
        """float64 [3]: where the robot is in truth, x, y in m and heading in rad."""
        w, _, _, z = self._data.qpos[3:7]
        return np.array([*self._data.qpos[:2], 2.0 * np.arctan2(z, w)])

    @property
    def failed(self) -> str:
        """Why the task can no longer be done, '' while it can."""
        return self._judge.failed

    def observe(self) -> np.ndarray:
        """As `Environment.observe`."""
        return self._observation.copy()

    def messages(self) -> Mapping[str, Mapping[str, object]]:
        """As `SendsMessages.messages`: what a lidar and the driver of a base send."""
        return self._messages

    def step(self, command: np.ndarray) -> bool:
        """As `Environment.step`."""
        forward, turn = command
        data = self._data
        data.ctrl[:] = (forward - turn * HALF_TRACK) / WHEEL_RADIUS, (forward + turn * HALF_TRACK) / WHEEL_RADIUS
        touched = False
        for _ in range(self._substeps):
            mujoco.mj_step(self._model, data)
            self._count(data.qvel[self._wheels])
            touched = touched or self._touches()
        self._sense()
        speed, turning = float(np.hypot(*data.qvel[:2])), float(data.qvel[5])
        done = self._judge.done(self.pose, speed, turning, touched)
        self.ended = touched
        return done

    def _touches(self) -> bool:
        """Whether the hull touches a wall, the dock or the pillar."""
        return bool((self._data.contact.geom == self._hull).any())

    def _count(self, wheels: np.ndarray) -> None:
        """Add what the wheels turned in a time step to the odometry."""
        left, right = WHEEL_RADIUS * wheels
        forward, turn = 0.5 * (left + right), 0.5 * (right - left) / HALF_TRACK
        heading, step = self._odometry[2], self._model.opt.timestep
        self._odometry += step * np.array([forward * np.cos(heading), forward * np.sin(heading), turn])
        self._measured[:] = forward, turn

    def _sense(self) -> None:
        ranges = self._scan()
        x, y, heading = self._odometry
        self._messages = {
            "scan": {
                "header.frame_id": "base_scan",
                "angle_min": -np.pi,
                "angle_max": np.pi - 2.0 * np.pi / BEAMS,
                "angle_increment": 2.0 * np.pi / BEAMS,
                "scan_time": PERIOD_S,
                "range_min": NEAREST_M,
                "range_max": REACH_M,
                "ranges": ranges,
            },
            "odom": {
                "header.frame_id": "odom",
                "child_frame_id": "base_link",
                "pose.pose.position.x": float(x),
                "pose.pose.position.y": float(y),
                "pose.pose.position.z": 0.0,
                "pose.pose.orientation.x": 0.0,
                "pose.pose.orientation.y": 0.0,
                "pose.pose.orientation.z": float(np.sin(heading / 2)),
                "pose.pose.orientation.w": float(np.cos(heading / 2)),
                "twist.twist.linear.x": float(self._measured[0]),
                "twist.twist.angular.z": float(self._measured[1]),
            },
        }
        self._observation = self._read(self._messages)

    def _scan(self) -> np.ndarray:
        """float32 [360], m: beam 0 looks back, beam 180 ahead; infinite where nothing is within reach."""
        place = self._data.site("laser").xpos
        heading = self.pose[2]
        cosine, sine = np.cos(heading), np.sin(heading)
        rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        directions = (self._beams @ rotation.T).ravel()
        geoms, distances = np.zeros(BEAMS, dtype=np.int32), np.zeros(BEAMS)
        mujoco.mj_multiRay(
            self._model, self._data, place, directions, self._groups, 1, self._base, geoms, distances, BEAMS, REACH_M
        )
        distances += self._rng.normal(0.0, SCAN_NOISE_M, BEAMS)
        seen = (geoms >= 0) & (distances >= NEAREST_M) & (distances <= REACH_M)
        return np.where(seen, distances, np.inf).astype(np.float32)

    def close(self) -> None:
        """As `Environment.close`; nothing is held."""

    def expert(self, task: str = "", anywhere: bool = False):
        """As `HasExpert.expert`: the driver of `mobile_base.driver`, without nodes."""
        return _Driven(self, Driver(task or self.task, self.layout))

    def state(self) -> np.ndarray:
        """As `Renders.state`: the generalised positions, and where dock and pillar stand."""
        return np.concatenate([self._data.qpos, self._data.mocap_pos.ravel()])

    def renderer(self, height: int = 480, width: int = 640) -> "_Renderer":
        """As `Renders.renderer`: seen from above the south wall."""
        camera = mujoco.MjvCamera()
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, self._model.camera("above").id
        return _Renderer(self._model, height, width, camera)


class _Renderer(MujocoRenderer):
    """Puts dock and pillar into their places, too."""

    def draw(self, state: np.ndarray) -> np.ndarray:
        """As `Renderer.draw`."""
        self._data.mocap_pos[:] = state[self._model.nq :].reshape(-1, 3)
        return super().draw(state[: self._model.nq])


class _Driven:
    """An expert that drives by what the robot's messages say."""

    def __init__(self, environment: MobileBase, driver: Driver):
        self._environment, self._driver = environment, driver

    def command(self) -> np.ndarray:
        """As `Expert.command`."""
        messages = self._environment.messages()
        odometry = messages["odom"]
        pose = np.array([odometry["pose.pose.position.x"], odometry["pose.pose.position.y"], 0.0])
        pose[2] = 2.0 * np.arctan2(odometry["pose.pose.orientation.z"], odometry["pose.pose.orientation.w"])
        return self._driver.command(pose, messages["scan"]["ranges"])
