"""One task of a Gymnasium environment behind a contract: names instead of indices, SI units, layouts by seed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lwd_ros.contract import AGE, KEEP, ZERO, Contract, ContractError
from lwd_ros.contract.contract import vector_name
from lwd_ros.environments import gl  # noqa: F401, before Gymnasium imports MuJoCo
from lwd_ros.environments.environment import SimulationError
from lwd_ros.environments.rendering import MujocoRenderer, cannot_draw

if TYPE_CHECKING:
    from lwd_ros.environments.gym_file import GymSimulator


@dataclass(frozen=True)
class Channel:
    """Where a scalar, or the first of a vector, stands in a Gymnasium space, and its unit there.

    Attributes:
        index: in the flattened box.
        key: of the box in a dict space; "" where the space is one box.
        scale, offset: an observed scalar is `scale * number + offset`, a number of the action
            `scale * command + offset`.
    """

    index: int
    key: str = ""
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Success:
    """When a task is done: an entry of `info` is true or at least a threshold, or the return so far is."""

    info: str = ""
    at_least: float | None = None


def channels(names: Sequence[str], mapping: Mapping[str, Channel], where: str) -> list[Channel]:
    """The channel of each scalar of a contract; an element of a vector stands so far behind the first.

    Raises:
        ContractError: the mapping lacks one.
    """
    found: list[Channel] = []
    before: dict[str, int] = {}
    for name in names:
        vector = vector_name(name) or name
        place = before.get(vector, 0)
        before[vector] = place + 1  # also where this element has a channel of its own
        if name in mapping:
            found.append(mapping[name])
        elif vector in mapping:
            first = mapping[vector]
            found.append(Channel(first.index + place, first.key, first.scale, first.offset))
        else:
            raise ContractError(
                f"contract: key '{where}.{vector}': found nothing like it, expected {', '.join(mapping)}"
            )
    return found


class GymEnvironment:
    """An `Environment`; with `render` or `picture` where it can.

    MuJoCo environments are drawn from their states, the others by `render_mode="rgb_array"` where they have it.
    """

    def __init__(self, simulator: GymSimulator, task: str, contract: Contract):
        """Build `task` with layout 0; raises SimulationError, ContractError."""
        simulator.spec.require_tasks([task])
        simulator.require_contract(contract)
        self.spec, self.task, self.contract = simulator.spec, task, contract
        self._simulator, self._success = simulator, simulator.success
        kwargs = {**simulator.kwargs, **simulator.tasks[task]}
        self._env = self._make(kwargs)
        self._base = self._env.unwrapped
        modes = (getattr(self._base, "metadata", None) or {}).get("render_modes") or ()
        if self._is_mujoco():
            self.state, self.renderer = self._state, self._renderer
        elif "rgb_array" in modes and "render_mode" not in kwargs:
            self._env.close()
            self._env = self._make({**kwargs, "render_mode": "rgb_array"})
            self._base = self._env.unwrapped
            self.picture = self._picture
        self._require_period()
        observed = [name for name in contract.observation_names if name != AGE]
        self._read = self._reader(channels(observed, simulator.observation, "observation"))
        self._age = contract.age_place
        self._write = self._writer(channels(contract.command_names, simulator.command, "command"))
        self.reset(0)

    def _make(self, kwargs: dict):
        name = self._simulator.id
        try:
            import gymnasium
        except ModuleNotFoundError as error:
            text = f"environment '{self.spec.name}': needs the package 'gymnasium': pip install 'lwd_ros[sim]'"
            raise SimulationError(text) from error
        try:
            # It has no step limit of its own, and its inputs are checked here.
            return gymnasium.make(name, max_episode_steps=-1, disable_env_checker=True, **kwargs)
        except Exception as error:  # every environment raises its own kinds
            problem = " ".join(str(error).split())
            raise SimulationError(
                f"environment '{self.spec.name}': '{name}' cannot be built ({type(error).__name__}: {problem})"
            ) from error

    def _require_period(self) -> None:
        dt = getattr(self._base, "dt", None)
        if isinstance(dt, (int, float)) and abs(dt - self.spec.period_s) > 1e-9:
            raise SimulationError(
                f"{self.spec.name}: key 'period_s': found {self.spec.period_s:g}, expected {dt:g}, "
                f"the time step of {self._simulator.id}"
            )

    def _size(self, space, key: str, where: str) -> int:
        """Numbers in a box, or in that of a dict space's key."""
        import gymnasium

        if isinstance(space, gymnasium.spaces.Dict):
            if key not in space.spaces:
                found = f"key '{key}'" if key else "no key"
                raise SimulationError(
                    f"{self.spec.name}: key '{where}': found {found}, expected one of {', '.join(space.spaces)}"
                )
            space = space.spaces[key]
        elif key:
            raise SimulationError(f"{self.spec.name}: key '{where}': found key '{key}', expected none: it is one box")
        if not isinstance(space, gymnasium.spaces.Box):
            kind = type(space).__name__
            raise SimulationError(f"{self.spec.name}: key '{where}': found the space {kind}, expected a Box")
        return int(np.prod(space.shape))

    def _require_places(self, space, found: Sequence[Channel], names: Sequence[str], where: str) -> None:
        for name, channel in zip(names, found, strict=True):
            size = self._size(space, channel.key, f"{where}.{name}")
            if not 0 <= channel.index < size:
                raise SimulationError(
                    f"{self.spec.name}: key '{where}.{name}': found index {channel.index}, "
                    f"expected one from 0 to {size - 1}"
                )

    def _reader(self, found: list[Channel]) -> Callable[[object], np.ndarray]:
        """From what Gymnasium observes to float64 [observations] without the age."""
        names = [name for name in self.contract.observation_names if name != AGE]
        self._require_places(self._env.observation_space, found, names, "observation")
        scale, offset = (np.array([getattr(each, part) for each in found]) for part in ("scale", "offset"))
        keys = list(dict.fromkeys(each.key for each in found))
        places = {key: [i for i, each in enumerate(found) if each.key == key] for key in keys}
        indices = {key: [found[i].index for i in places[key]] for key in keys}

        def read(observed) -> np.ndarray:
            raw = np.empty(len(found))
            for key in keys:
                box = observed[key] if key else observed
                raw[places[key]] = np.asarray(box, dtype=np.float64).reshape(-1)[indices[key]]
            return scale * raw + offset

        return read

    def _writer(self, found: list[Channel]) -> Callable[[np.ndarray], np.ndarray]:
        """From float64 [commands] to an action, within what the space allows; numbers that nothing names are 0."""
        space = self._env.action_space
        self._require_places(space, found, self.contract.command_names, "command")
        scale, offset = (np.array([getattr(each, part) for each in found]) for part in ("scale", "offset"))
        indices = [each.index for each in found]

        def write(command: np.ndarray) -> np.ndarray:
            action = np.zeros(space.shape).reshape(-1)
            action[indices] = scale * np.asarray(command, dtype=np.float64) + offset
            return np.clip(action.reshape(space.shape), space.low, space.high).astype(space.dtype)

        return write

    def reset(self, layout: int) -> np.ndarray:
        """As `Environment.reset`: `env.reset(seed=layout)`."""
        observed, _ = self._env.reset(seed=int(layout))
        self.layout, self.reward, self.ended, self._return = int(layout), 0.0, False, 0.0
        self._see(observed)
        return self.observe()

    @property
    def start_command(self) -> np.ndarray:
        """As `Environment.start_command`: 0, and where the robot is measured to be."""
        measured = self._observation
        return np.array(
            [0.0 if rest in (ZERO, KEEP) else measured[self.contract.places(rest)[0]] for rest in self.contract.rests]
        )

    def observe(self) -> np.ndarray:
        """As `Environment.observe`."""
        return self._observation.copy()

    def step(self, command: np.ndarray) -> bool:
        """As `Environment.step`.

        Raises:
            SimulationError: `info` lacks the entry that says success.
        """
        observed, reward, terminated, truncated, info = self._env.step(self._write(command))
        self.reward, self.ended = float(reward), bool(terminated or truncated)
        self._return += self.reward
        self._see(observed)
        return self._done(info)

    def _done(self, info: Mapping) -> bool:
        success = self._success
        if success is None:
            return False
        if not success.info:
            return success.at_least is not None and self._return >= success.at_least
        if success.info not in info:
            has = ", ".join(map(str, info)) or "nothing"
            raise SimulationError(
                f"{self.spec.name}: key 'success.info': found '{success.info}', expected one of {has}"
            )
        value = info[success.info]
        return bool(value) if success.at_least is None else float(value) >= success.at_least

    def _see(self, observed) -> None:
        values = self._read(observed)
        self._observation = values if self._age is None else np.insert(values, self._age, 0.0)

    def close(self) -> None:
        """As `Environment.close`."""
        self._env.close()

    @property
    def unwrapped(self):
        """The Gymnasium environment without wrappers, for experts that look at more than is observed."""
        return self._base

    # Capabilities, which `__init__` hands out.

    def _is_mujoco(self) -> bool:
        return all(hasattr(self._base, name) for name in ("model", "data")) and hasattr(self._base.data, "qpos")

    def _state(self) -> np.ndarray:
        """As `Renders.state`: the generalised positions."""
        return np.array(self._base.data.qpos, dtype=np.float64)

    def _renderer(self, height: int = 480, width: int = 640) -> MujocoRenderer:
        """As `Renders.renderer`: seen as Gymnasium's own pictures are."""
        import mujoco

        camera = mujoco.MjvCamera()
        mujoco.mjv_defaultFreeCamera(self._base.model, camera)
        gymnasiums = getattr(self._base, "mujoco_renderer", None)
        for name, value in (getattr(gymnasiums, "default_cam_config", None) or {}).items():
            if isinstance(value, np.ndarray):
                getattr(camera, name)[:] = value
            else:
                setattr(camera, name, value)
        fixed = getattr(gymnasiums, "camera_id", None)
        if fixed is not None and fixed >= 0:
            camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, fixed
        return MujocoRenderer(self._base.model, height, width, camera)

    def _picture(self) -> np.ndarray:
        """As `Pictures.picture`."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return np.asarray(self._env.render(), dtype=np.uint8)
        except Exception as error:  # whatever the environment draws with
            raise cannot_draw(error) from error
