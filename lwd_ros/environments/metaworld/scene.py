"""One Metaworld task as physics behind a contract: SI units in and out, layouts by seed, state that carries over."""

import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from lwd_ros.contract import AGE, Contract, ContractError, sign_of
from lwd_ros.environments.environment import Expert, Left, Renderer, SimulationError
from lwd_ros.environments.metaworld.simulator import SIMULATOR
from lwd_ros.environments.metaworld.tasks import EPISODE_STEPS as EPISODE_STEPS
from lwd_ros.environments.metaworld.tasks import PERIOD_S, SCALAR_FIRST_QUATERNIONS
from lwd_ros.environments.metaworld.ways import SEVERAL, Layout, metaworld_name

ACTION_SCALE_M = 0.01
"""A Metaworld action of 1 moves the hand's target by this much in one step (`SawyerXYZEnv.action_scale`)."""

PATH_STEPS = 20 * EPISODE_STEPS
"""A way is read from so many steps at most, so that a bridge that runs for days does not fill the memory."""

_GRIPPER_OPEN = -1.0
_OBJECTS = ("object_1", "object_2")
_FIELDS = (
    ["hand_x", "hand_y", "hand_z", "gripper_opening"]
    + [f"{name}_{f}" for name in _OBJECTS for f in ("x", "y", "z", "qx", "qy", "qz", "qw")]
    + ["goal_x", "goal_y", "goal_z", AGE]
)
_COMMANDS = ("hand_velocity_x", "hand_velocity_y", "hand_velocity_z", "gripper_effort")


def sharing(task: str) -> tuple[str, ...]:
    """All tasks whose state can be kept when `task` follows them: those with the same MuJoCo model, itself included."""
    SIMULATOR.spec.require_tasks([task])
    # Each class names its model in a property that does not look at the instance; building one takes 0.1 to 0.7 s.
    models = {name: ALL_V3_ENVIRONMENTS[metaworld_name(name)].model_name.fget(None) for name in SIMULATOR.spec.tasks}
    return tuple(name for name in sorted(models) if models[name] == models[task])


def require_shared_scene(task: str, previous: str) -> None:
    """Raise SimulationError unless `task` can take over the state that `previous` left."""
    if previous not in sharing(task):
        raise SimulationError(
            f"task '{task}' has another scene than '{previous}', so the state cannot be kept; "
            "load it without keep_state"
        )


def require_contract(contract: Contract) -> None:
    """Raise ContractError unless Metaworld has every scalar of `contract`, and its control period."""
    _places(contract.observation_names, _FIELDS, "observation")
    _places(contract.command_names, _COMMANDS, "command")
    _places(_COMMANDS, list(contract.command_names), "command")
    SIMULATOR.spec.require_period(contract)


class Scene:
    """A Metaworld environment with the goal visible, that a contract's commands drive.

    Observations are float64 [observations] in the contract's order and units; commands are float64 [commands]:
    velocities in m/s in the frame `base`, gripper effort in ±1. The scene has no step limit, and its
    episodes do not end. It has every capability but `picture`.
    """

    spec = SIMULATOR.spec
    ended = False

    def __init__(self, task: str, contract: Contract):
        """Build the environment of `task`, e.g. "drawer-open-v3" (0.2 to 0.7 s) with layout 0.

        Raises:
            SimulationError: Metaworld has no such task.
            ContractError: the contract names a scalar that Metaworld does not have, or another period.
        """
        self.spec.require_tasks([task])
        self.task, self.contract = task, contract
        require_contract(contract)
        self._places = _places(contract.observation_names, _FIELDS, "observation")
        self._command_places = _places(_COMMANDS, list(contract.command_names), "command")
        self._env = ALL_V3_ENVIRONMENTS[metaworld_name(task)]()
        self._several = SEVERAL.get(task)
        self._env.seeded_rand_vec = True
        self._env._freeze_rand_vec = False
        self._env._set_task_called = True
        # Both are needed: with the space still cached, step() would zero the goal that reset() showed.
        self._env._partially_observable = False
        self._env.__dict__.pop("sawyer_observation_space", None)
        self._env.max_path_length = np.iinfo(np.int64).max  # Metaworld's step 501 would raise
        self._raw = np.zeros(39)
        self.reward = 0.0
        self._to_action = np.array([1.0 / (ACTION_SCALE_M / contract.period_s)] * 3 + [1.0])
        self.reset(0)  # some tasks set what take_over needs only here

    @property
    def raw_observation(self) -> np.ndarray:
        """float64 [39]: Metaworld's own observation, which the scripted experts read."""
        return self._raw

    def reset(self, layout: int) -> np.ndarray:
        """Place objects and goal as the seed `layout` says, the arm at its start; return the observation."""
        self.set_period(PERIOD_S)  # it also runs the simulation while the hand goes to its start
        self._env.seed(int(layout))
        self._env._freeze_rand_vec = False
        self._env.reset()
        self._look()
        self.layout, self.reward = int(layout), 0.0
        self._begin_path()
        return self.observe()

    @property
    def start_command(self) -> np.ndarray:
        """As `Environment.start_command`: Metaworld opens the gripper while it resets the hand."""
        return self.command(np.zeros(3), _GRIPPER_OPEN)

    def sharing(self) -> tuple[str, ...]:
        """As `TakesOver.sharing`."""
        return sharing(self.task)

    def take_over(self, other: "Scene") -> np.ndarray:
        """Continue in `other`'s physics state and layout with this scene's task: nothing moves, the goal changes.

        Raises:
            SimulationError: the two tasks do not share a scene, or describe their layouts differently.
        """
        mine, theirs = self._env, other._env
        require_shared_scene(self.task, other.task)
        vector = np.asarray(theirs._last_rand_vec)
        if vector.shape != mine._random_reset_space.low.shape:
            raise SimulationError(f"task '{self.task}' cannot read the layout that '{other.task}' left; load it anew")
        mine.seed(other.layout)
        mine._last_rand_vec = vector
        mine._freeze_rand_vec = True
        # reset() recomputes the goal for this layout with the task's own code; the 100 steps in which it would also
        # move the hand to its start are left out, because a running simulation must not pause for them.
        mine._reset_hand = lambda steps=50: None
        try:
            mine.reset()
        finally:
            del mine._reset_hand
            mine._freeze_rand_vec = False
        mine.model.body_pos[:] = theirs.model.body_pos
        mine.model.body_quat[:] = theirs.model.body_quat
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(theirs.model, kind))
        mujoco.mj_getState(theirs.model, theirs.data, state, kind)
        mujoco.mj_setState(mine.model, mine.data, state, kind)
        self._look()
        self.layout, self.reward = other.layout, 0.0
        self._begin_path()
        return self.observe()

    def expert(self, task: str = "", anywhere: bool = False) -> Expert:
        """As `HasExpert.expert`."""
        from lwd_ros.environments.metaworld import experts

        return experts.Expert(self, task, anywhere)

    # Ways

    @property
    def ways(self) -> tuple[str, ...]:
        """As `HasWays.ways`; Metaworld's own tasks have none."""
        return self._several.names if self._several else ()

    def open_ways(self) -> tuple[str, ...]:
        """As `HasWays.open_ways`."""
        return self._several.open(self._layout) if self._several else ()

    def way(self) -> str:
        """As `HasWays.way`."""
        if self._several is None:
            return ""
        path = np.array(self._path)
        return self._several.read(path[:, :3], path[:, 4:])

    def way_expert(self, way: str) -> Expert:
        """As `HasWays.way_expert`."""
        from lwd_ros.environments.metaworld import experts, way_experts

        if way not in self.open_ways():
            known = ", ".join(self.open_ways()) or "none"
            raise SimulationError(
                f"task '{self.task}': nobody demonstrates the way '{way}' in layout {self.layout}, expected one of "
                f"{known}"
            )
        return experts.Expert(self, policy=way_experts.expert(self.task, way, self._layout))

    def _begin_path(self) -> None:
        """Of a task with several ways: what its way is read from begins here."""
        if self._several is not None:
            hand, thing, goal = self._raw[:3].copy(), self._raw[4:7].copy(), self._raw[36:39].copy()
            self._layout, self._path = Layout(hand, thing, goal), [self._raw[:7].copy()]

    # Starts and disturbances

    def leave(self, before: str, command: np.ndarray, drift_steps: int, noise: float, rng: np.random.Generator) -> Left:
        """As `Leaves.leave`: the hand drifts on, stands still, or is moved about."""
        from lwd_ros.environments.metaworld import starts

        gripper = self.gripper_effort(command) if before else 0.0
        return starts.leave(self, before, gripper, drift_steps, noise, rng)

    def set_period(self, period_s: float) -> None:
        """Let a step last `period_s`, a multiple of MuJoCo's 2.5 ms, until the next reset; commands stay velocities."""
        frames = round(period_s / self._env.model.opt.timestep)
        self._env.frame_skip = frames
        self._env.action_scale = ACTION_SCALE_M * frames * self._env.model.opt.timestep / PERIOD_S

    def push_hand(self, offset: np.ndarray) -> None:
        """Displace the hand's target by [2] m at once, horizontally."""
        target = self._env.data.mocap_pos
        target[0, :2] += offset
        np.clip(target[0], self._env.mocap_low, self._env.mocap_high, out=target[0])

    def push_object(self, speed: np.ndarray) -> None:
        """Give the free object [2] m/s at once, horizontally; raises SimulationError where the task has none."""
        model = self._env.model
        free = [j for j in range(model.njnt) if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE]
        if not free:
            raise SimulationError(f"task '{self.task}' has no object that could be pushed about; choose another")
        place = model.jnt_dofadr[free[0]]
        self._env.data.qvel[place : place + 2] += speed

    def command(self, velocity: np.ndarray, gripper: float) -> np.ndarray:
        """float64 [commands] in the contract's order, of the hand's velocity [3] in m/s and the gripper's effort."""
        command = np.empty(len(self._command_places))
        command[self._command_places] = [*velocity, gripper]
        return command

    def gripper_effort(self, command: np.ndarray) -> float:
        """The gripper's effort in a command [commands]."""
        return float(command[self._command_places[3]])

    def step(self, command: np.ndarray) -> bool:
        """Advance one control period under `command`; returns Metaworld's success at the new state."""
        action = np.asarray(command, dtype=np.float64)[self._command_places] * self._to_action
        self._raw, self.reward, _, _, info = self._env.step(np.clip(action, -1.0, 1.0))
        if self._several is not None and len(self._path) < PATH_STEPS:
            self._path.append(self._raw[:7].copy())
        return bool(info["success"])

    def observe(self) -> np.ndarray:
        """float64 [observations]: the current observation in the contract's order and units, of age 0."""
        frame = np.concatenate((self._raw[:18], self._raw[36:39], [0.0]))
        for start in (7, 14):
            frame[start : start + 4] = self._quaternion(frame[start : start + 4])
        return frame[self._places]

    @property
    def measured_positions(self) -> np.ndarray:
        """bool [observations]: what a sensor measures in m; not an object that the task lacks, which reads 0."""
        absent = [name for name in _OBJECTS if not self._raw[_FIELDS.index(f"{name}_x") :][:3].any()]
        scalars = self.contract.observation
        return np.array([s.unit == "m" and not s.name.startswith(tuple(absent)) for s in scalars])

    @property
    def workspace(self) -> tuple[np.ndarray, np.ndarray]:
        """float64 [3] each, in m: the lowest and the highest target that the hand's position can be given."""
        return self._env.mocap_low.astype(np.float64), self._env.mocap_high.astype(np.float64)

    @property
    def qpos(self) -> np.ndarray:
        """float64 [nq]: a copy of MuJoCo's generalised positions, enough to draw this moment again."""
        return self._env.data.qpos.copy()

    def state(self) -> np.ndarray:
        """As `Renders.state`: `qpos`."""
        return self.qpos

    def renderer(self, height: int = 480, width: int = 640) -> Renderer:
        """As `Renders.renderer`."""
        from lwd_ros.environments.metaworld.render import renderer

        return renderer(self.model, height, width)

    def close(self) -> None:
        """As `Environment.close`."""
        self._env.close()

    @property
    def model(self) -> mujoco.MjModel:
        """The MuJoCo model, for rendering; its body positions hold the layout."""
        return self._env.model

    @property
    def data(self) -> mujoco.MjData:
        """The MuJoCo data, for rendering."""
        return self._env.data

    def _look(self) -> None:
        """Observe the present state anew, as if it had always been so.

        What Metaworld's own reset() returns is older than the layout in some tasks: drawers, windows, faucets stand up
        to 20 cm elsewhere until the first step.
        """
        env = self._env
        mujoco.mj_forward(env.model, env.data)
        frame = env._get_curr_obs_combined_no_goal()
        env._prev_obs = frame
        self._raw = self._clipped(np.hstack((frame, frame, env._get_pos_goal())))

    def _clipped(self, raw: np.ndarray) -> np.ndarray:
        """Metaworld clips what step() returns but not what reset() returns; a policy must see one convention."""
        space = self._env.sawyer_observation_space
        return np.clip(np.asarray(raw, dtype=np.float64), space.low, space.high)

    def _quaternion(self, values: np.ndarray) -> np.ndarray:
        """xyzw as ROS has it, of the sign that contracts ask for; the identity where Metaworld pads with zeros."""
        if not values.any():
            return np.array([0.0, 0.0, 0.0, 1.0])
        rolled = np.roll(values, -1) if metaworld_name(self.task) in SCALAR_FIRST_QUATERNIONS else values
        return sign_of(*rolled.tolist()) * rolled


def _places(wanted, available, kind: str) -> np.ndarray:
    """Where each wanted scalar stands among those available; ContractError where one does not."""
    for name in wanted:
        if name not in available:
            expected = ", ".join(available)
            raise ContractError(f"contract: key '{kind}.{name}': found nothing like it, expected {expected}")
    return np.array([available.index(name) for name in wanted])
