"""Where a hand can be left: the task before drives on, the hand stands still, or it is moved about."""

import numpy as np

from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.disturbance import action_noise
from lwd_ros.environments.environment import Left
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.metaworld.experts import Expert
from lwd_ros.environments.metaworld.scene import Scene

LEGS = 3
"""A wandering hand goes to at most so many targets."""

LEG_STEPS = 80
"""It takes at most so many control steps for each, 1 s."""

NEAR_M = 0.15
"""Every second target lies within this of the object, along each axis."""

LOWEST_M = 0.04
"""No target is lower: some scenes let the hand's target sink into the table."""

HOLD_STEPS = 40
"""A hand stands still for at most so many control steps."""


def leave(scene: Scene, before: str, gripper: float, drift_steps: int, noise: float, rng: np.random.Generator) -> Left:
    """Let something happen to the hand before the demonstration of `scene`'s task begins, drawn by `rng`.

    After a task `before`: its expert drives on for up to `drift_steps`, the hand stands still with its gripper
    commanded to `gripper`, or it wanders. After none it wanders.
    """
    kind = rng.choice(["drift", "wander", "hold"], p=[0.45, 0.4, 0.15]) if before else "wander"
    if kind == "wander":
        return Left(("wander",), wander(scene, rng))
    if kind == "hold":
        return Left(("hold",), hold(scene, int(rng.integers(1, HOLD_STEPS + 1)), gripper))
    # Most experts arrive somewhere within seconds, so shorter drifts show more.
    done = drift(scene, before, int(drift_steps * rng.random() ** 2), noise, rng)
    if rng.random() < 0.7:
        return Left(("drift",), done)
    return Left(("drift", "wander"), wander(scene, rng))


def drift(scene: Scene, task: str, steps: int, noise: float, rng: np.random.Generator) -> bool:
    """The expert of `task` goes on for `steps` control steps in `scene`, whose task is another; whether that is done.

    What the expert sees has the goal of the scene's task. `noise` is the standard deviation of what is executed beside
    its commands, in action units of ±1.
    """
    actor = ExpertActor(Expert(scene, task, anywhere=True))
    noisy = action_noise(scene.contract, noise, rng)
    return run_episode(scene, actor, None, noise=noisy, steps=steps, stop_at_success=False).is_done


def hold(scene: Scene, steps: int, gripper: float) -> bool:
    """The hand stands still for `steps` control steps, at velocities 0; whether the task is done."""
    command, done = scene.command(np.zeros(3), gripper), False
    for _ in range(steps):
        done = scene.step(command)
    return done


def wander(scene: Scene, rng: np.random.Generator) -> bool:
    """Move the hand to 1 to LEGS random targets, every second about the object, open or closed, fast or slow.

    A leg ends within 2 cm of its target or after LEG_STEPS at most. The hand pushes what stands in its way, as a person
    would who does not look. Every second time it stands still at the end. Returns whether the task is done.
    """
    low, high = scene.workspace
    low = np.maximum(low, [*low[:2], LOWEST_M])
    fastest = scene.contract.command_limits[1][0]
    done, gripper = False, 0.0
    for _ in range(int(rng.integers(1, LEGS + 1))):
        target = rng.uniform(low, high)
        if rng.random() < 0.5:
            target = np.clip(scene.raw_observation[4:7] + rng.uniform(-NEAR_M, NEAR_M, 3), low, high)
        gripper, speed = float(rng.choice([-1.0, 1.0])), rng.uniform(0.3, 1.0) * fastest
        for _ in range(int(rng.integers(LEG_STEPS // 4, LEG_STEPS + 1))):
            way = target - scene.raw_observation[:3]
            if np.linalg.norm(way) < 0.02:
                break
            done = scene.step(scene.command(np.clip(10.0 * way, -speed, speed), gripper))
    return hold(scene, int(rng.integers(1, HOLD_STEPS + 1)), gripper) if rng.random() < 0.5 else done
