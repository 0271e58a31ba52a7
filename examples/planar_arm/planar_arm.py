"""A planar arm of three joints that takes position targets, and a gripper: a Gymnasium environment and its expert."""

import gymnasium
import numpy as np

LINKS_M = np.array([0.3, 0.25, 0.15])
BIN_M = np.array([0.1, 0.45])
_OPEN_M, _CLOSED_M = 0.08, 0.03  # of the gripper's fingers; an object is held below the second


def tip_of(joints: np.ndarray) -> np.ndarray:
    """Where the tip is, float64 [2] in m, of joint angles in rad."""
    angles = np.cumsum(joints)
    return np.array([(LINKS_M * np.cos(angles)).sum(), (LINKS_M * np.sin(angles)).sum()])


def jacobian_of(joints: np.ndarray) -> np.ndarray:
    """How the tip moves with the joints, float64 [2, 3] in m/rad."""
    angles = np.cumsum(joints)
    each = np.stack([-LINKS_M * np.sin(angles), LINKS_M * np.cos(angles)])
    return each[:, ::-1].cumsum(axis=1)[:, ::-1]


class PlanarArm(gymnasium.Env):
    """Tasks: `reach` the object within 1 cm; `pick` it and bring it into the bin.

    Observes three joints, the gripper, the tip and the object; acts by targets of the joints and of the gripper.
    """

    def __init__(self, task: str = "reach"):
        self.task = task
        self.observation_space = gymnasium.spaces.Box(-10.0, 10.0, (8,), np.float64)
        self.action_space = gymnasium.spaces.Box(-10.0, 10.0, (4,), np.float64)

    def reset(self, *, seed=None, options=None):
        """An object somewhere in reach, the arm near its home."""
        super().reset(seed=seed)
        self.joints = np.array([0.6, 0.9, 0.6]) + self.np_random.uniform(-0.15, 0.15, 3)
        self.gripper, self.held = _OPEN_M, False
        radius, angle = self.np_random.uniform(0.35, 0.6), self.np_random.uniform(-0.3, 1.2)
        self.object = radius * np.array([np.cos(angle), np.sin(angle)])
        return self._observation(), {}

    def step(self, action):
        """One control period: joints go 60 % of the way to their targets, at most 0.06 rad."""
        self.joints = self.joints + np.clip(0.6 * (action[:3] - self.joints), -0.06, 0.06)
        self.gripper = float(np.clip(self.gripper + np.clip(action[3] - self.gripper, -0.02, 0.02), 0.0, _OPEN_M))
        tip = tip_of(self.joints)
        near = np.linalg.norm(tip - self.object)
        if self.task == "reach":
            done = bool(near < 0.01)
        else:
            self.held = self.gripper < 0.04 if self.held else bool(self.gripper < _CLOSED_M and near < 0.02)
            if self.held:
                self.object = tip
            done = bool(self.held and np.linalg.norm(self.object - BIN_M) < 0.03)
        return self._observation(), float(done), False, False, {"success": done}

    def _observation(self) -> np.ndarray:
        return np.concatenate([self.joints, [self.gripper], tip_of(self.joints), self.object])


class _Expert:
    """Resolved rates: each target lies a step towards the goal from where the joints are."""

    def __init__(self, environment):
        self._environment, self._closed = environment, False

    def command(self) -> np.ndarray:
        """Targets of the joints in rad and of the gripper in m."""
        seen = self._environment.observe()
        joints, gripper, tip, goal = seen[:3], seen[3], seen[4:6], seen[6:8]
        if self._environment.task == "pick":
            self._closed = bool(np.linalg.norm(tip - goal) < (0.04 if self._closed else 0.012))
            if self._closed and gripper < _CLOSED_M:
                goal = BIN_M
        error = goal - tip
        error *= min(1.0, 0.03 / max(float(np.linalg.norm(error)), 1e-9))
        jacobian = jacobian_of(joints)
        change = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-3 * np.eye(2), error)
        return np.append(joints + np.clip(1.5 * change, -0.1, 0.1), 0.0 if self._closed else _OPEN_M)


def expert(environment) -> _Expert:
    """The expert of one episode."""
    return _Expert(environment)


gymnasium.register("PlanarArm-v0", PlanarArm)
