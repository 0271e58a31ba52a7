"""The rod on its table as an environment: MuJoCo physics, the messages it is seen by, what ends an episode."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import mujoco
import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.environments.avoiding.demonstrators import Demonstrator, line
from lwd_ros.environments.avoiding.geometry import GOAL_Y, TABLE, Scene, published, varied
from lwd_ros.environments.avoiding.simulator import COMMANDS, PERIOD_S, cylinder_topic
from lwd_ros.environments.avoiding.ways import WAYS, open_ways, way
from lwd_ros.environments.environment import Content, EnvironmentSpec, SimulationError
from lwd_ros.environments.messages import MessageReader
from lwd_ros.environments.rendering import MujocoRenderer

MODEL = Path(__file__).parent / "avoiding.xml"

STRAIGHTEST = "R-M-3"
"""The way that `Avoiding.expert` goes where it is open."""

_FRAME = "table"
_CYLINDER, _COLOUR = 3, {"r": 0.80, "g": 0.28, "b": 0.22, "a": 1.0}  # visualization_msgs/msg/Marker.CYLINDER


class Avoiding:
    """A rod that velocities move. An episode ends where it touches a cylinder or leaves the table.

    Observations are read from `messages()`: any contract over its topics works. It has the capabilities expert, ways,
    disturb, render and messages.
    """

    def __init__(self, spec: EnvironmentSpec, task: str, contract: Contract):
        self.spec, self.task, self.contract = spec, task, contract
        self._model = mujoco.MjModel.from_xml_path(str(MODEL))
        self._data = mujoco.MjData(self._model)
        self._read = MessageReader(contract, spec)
        self._places = [contract.command_names.index(name) for name in COMMANDS]
        self._substeps = self._substeps_of(PERIOD_S)
        self.reset(0)

    @property
    def start_command(self) -> np.ndarray:
        """As `Environment.start_command`: the rod stands."""
        return np.zeros(len(self.contract.command))

    def reset(self, layout: int) -> np.ndarray:
        """As `Environment.reset`."""
        self.layout, self.reward, self.ended = int(layout), 0.0, False
        self._substeps = self._substeps_of(PERIOD_S)
        self.scene = published() if self.task == "fixed" else varied(self.layout)
        mujoco.mj_resetData(self._model, self._data)
        _place(self._model, self._data, self.scene)
        self._data.qpos[:] = self.scene.start
        mujoco.mj_forward(self._model, self._data)
        self._path = [self.position]
        self._cylinders = _markers(self.scene)
        return self.observe()

    @property
    def position(self) -> np.ndarray:
        """float64 [2]: x and y of the rod, m."""
        return self._data.qpos.copy()

    def observe(self) -> np.ndarray:
        """As `Environment.observe`."""
        return self._read(self.messages())

    def messages(self) -> Mapping[str, Content]:
        """As `SendsMessages.messages`: the rod's pose, and a marker for each cylinder."""
        x, y = self._data.qpos.tolist()
        pose = {"pose.position.x": x, "pose.position.y": y, "pose.orientation.w": 1.0}
        return {"rod/pose": {"header.frame_id": _FRAME, **pose}, **self._cylinders}

    def step(self, command: np.ndarray) -> bool:
        """As `Environment.step`; the task is done beyond the goal line."""
        self._data.ctrl[:] = np.asarray(command)[self._places]
        for _ in range(self._substeps):
            mujoco.mj_step(self._model, self._data)
            if self._data.ncon:  # nothing but the rod can touch anything
                self.ended = True
        position = self.position
        self._path.append(position)
        self.ended = self.ended or bool((position < TABLE[0]).any() or (position > TABLE[1]).any())
        return not self.ended and bool(position[1] >= GOAL_Y)

    def close(self) -> None:
        """As `Environment.close`; nothing is held."""

    # Ways

    ways = WAYS
    """As `HasWays.ways`."""

    def open_ways(self) -> tuple[str, ...]:
        """As `HasWays.open_ways`: those whose gaps are wide enough."""
        return open_ways(self.scene)

    def way(self) -> str:
        """As `HasWays.way`."""
        return way(np.array(self._path), self.scene.centres)

    def way_expert(self, way: str) -> "_Demonstrating":
        """As `HasWays.way_expert`."""
        if way not in WAYS:
            raise SimulationError(f"task '{self.task}': nobody demonstrates the way '{way}', expected one as L-M-3")
        if way not in self.open_ways():
            text = f"the way '{way}' is closed in layout {self.layout}, expected one of {', '.join(self.open_ways())}"
            raise SimulationError(f"task '{self.task}': {text}")
        return _Demonstrating(self, way)

    def expert(self, task: str = "", anywhere: bool = False) -> "_Demonstrating":
        """As `HasExpert.expert`: goes STRAIGHTEST, or the shortest open way; it copes with any start."""
        if STRAIGHTEST in self.open_ways():
            return _Demonstrating(self, STRAIGHTEST)
        return _Demonstrating(self, min(self.open_ways(), key=lambda way: len(line(self.scene, way))))

    # Disturbances

    @property
    def measured_positions(self) -> np.ndarray:
        """As `Disturbable.measured_positions`: the rod and the cylinders' places, not their radii."""
        return np.array([name.endswith(("_x", "_y")) for name in self.contract.observation_names])

    def set_period(self, period_s: float) -> None:
        """As `Disturbable.set_period`, for multiples of 5 ms."""
        self._substeps = self._substeps_of(period_s)

    def push_hand(self, offset: np.ndarray) -> None:
        """As `Disturbable.push_hand`: displace the rod."""
        self._data.qpos[:] += offset
        mujoco.mj_forward(self._model, self._data)

    def push_object(self, speed: np.ndarray) -> None:
        """As `Disturbable.push_object`: there is none."""
        raise SimulationError(f"task '{self.task}' has no object that could be pushed about; choose another")

    def _substeps_of(self, period_s: float) -> int:
        return round(period_s / self._model.opt.timestep)

    # Pictures

    def state(self) -> np.ndarray:
        """As `Renders.state`: float64 [20], the rod's place, the cylinders' places and radii."""
        return np.concatenate([self._data.qpos, self.scene.centres.ravel(), self.scene.radii])

    def renderer(self, height: int = 480, width: int = 640) -> "_Renderer":
        """As `Renders.renderer`: seen from above, the goal on the right."""
        camera = mujoco.MjvCamera()
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, self._model.camera("above").id
        return _Renderer(mujoco.MjModel.from_xml_path(str(MODEL)), height, width, camera)


def _place(model: mujoco.MjModel, data: mujoco.MjData, scene: Scene) -> None:
    """Put the cylinders in their places and give them their radii."""
    for number, (centre, radius) in enumerate(zip(scene.centres, scene.radii, strict=True), 1):
        body, geom = model.body(f"cylinder_{number}"), model.geom(f"cylinder_{number}")
        data.mocap_pos[body.mocapid[0]] = *centre, 0.0
        half = float(geom.size[1])
        geom.size[0] = radius
        # What MuJoCo computes of a size when it compiles a model, and looks at before it looks for contacts.
        geom.rbound[0] = np.hypot(radius, half)
        model.geom_aabb[geom.id, 3:] = radius, radius, half


def _markers(scene: Scene) -> dict[str, Content]:
    """A marker for each cylinder, by topic; its scale is the diameter."""
    found: dict[str, Content] = {}
    for number, (centre, radius) in enumerate(zip(scene.centres, scene.radii, strict=True), 1):
        x, y = centre.tolist()
        content = {
            "header.frame_id": _FRAME,
            "ns": "cylinders",
            "id": number,
            "type": _CYLINDER,
            "pose.position.x": x,
            "pose.position.y": y,
            "pose.position.z": 0.05,
            "pose.orientation.w": 1.0,
            "scale.x": 2.0 * float(radius),
            "scale.y": 2.0 * float(radius),
            "scale.z": 0.1,
            **{f"color.{key}": value for key, value in _COLOUR.items()},
        }
        found[cylinder_topic(number)] = MappingProxyType(content)  # the same until the next reset
    return found


class _Renderer(MujocoRenderer):
    """Puts the cylinders into their places, too."""

    def draw(self, state: np.ndarray) -> np.ndarray:
        """As `Renderer.draw`."""
        _place(self._model, self._data, Scene(state[:2], state[2:14].reshape(6, 2), state[14:]))
        return super().draw(state[:2])


class _Demonstrating:
    """A demonstrator that looks at the rod."""

    def __init__(self, environment: Avoiding, way: str):
        self._environment, self._demonstrator = environment, Demonstrator(environment.scene, way)
        self._places = [COMMANDS.index(name) for name in environment.contract.command_names]

    def command(self) -> np.ndarray:
        """As `Expert.command`."""
        return self._demonstrator.velocity(self._environment.position)[self._places]
