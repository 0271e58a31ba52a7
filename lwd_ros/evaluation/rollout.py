"""One episode of one policy in a scene, in process: the reference that the nodes must reproduce."""

from dataclasses import dataclass

import numpy as np

from lwd_ros.contract import CommandLimiter, Frames
from lwd_ros.environments.metaworld.scene import EPISODE_STEPS, Scene
from lwd_ros.policy import Policy


@dataclass(frozen=True)
class Rollout:
    """What happened: float64 [steps, observations], [steps, commands], the step of the first success (0: none)."""

    observations: np.ndarray
    commands: np.ndarray
    first_success_step: int

    @property
    def success(self) -> bool:
        """Metaworld's success at any step."""
        return self.first_success_step > 0


def rollout(
    scene: Scene,
    policy: Policy,
    steps: int = EPISODE_STEPS,
    limiter: CommandLimiter | None = None,
    stop_at_success: bool = False,
) -> Rollout:
    """Run `policy` closed loop from the scene's present state for `steps` control periods.

    `limiter` carries the last command over from a policy before; without one the robot is taken to be at rest.
    `stop_at_success` ends the episode there: for success "at any step" nothing after it matters.

    Raises:
        PolicyError: the policy was trained for another contract.
    """
    policy.require_contract(scene.contract)
    limiter, frames = limiter or CommandLimiter(scene.contract), Frames(scene.contract)
    period_ns = round(scene.contract.period_s * 1e9)
    observations = np.empty((steps, len(scene.contract.observation)))
    commands = np.empty((steps, len(scene.contract.command)))
    first = 0
    for step in range(steps):
        observations[step] = scene.observe()
        frames.push(observations[step], step * period_ns)
        seen = frames.vector(step * period_ns)
        limiter.apply(policy.forward(seen, commands[step]), observation=observations[step])
        if scene.step(commands[step]) and not first:
            first = step + 1
            if stop_at_success:
                break
    return Rollout(observations[: step + 1], commands[: step + 1], first)
