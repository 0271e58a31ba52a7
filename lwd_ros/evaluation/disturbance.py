"""Episodes under disturbances that every method meets alike: what is executed, seen, pushed, delayed or dropped."""

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lwd_ros.contract import CommandLimiter
from lwd_ros.environments.metaworld.scene import EPISODE_STEPS, PERIOD_S, Scene
from lwd_ros.evaluation.actors import Actor, at_rest


@dataclass(frozen=True)
class Disturbance:
    """What goes wrong in an episode; nothing by default.

    Attributes:
        action_noise: deviation added to every command, which is within its limits by then, in shares of the limit.
        observation_noise_m: deviation added to every observed position.
        delay: control steps by which observations are old; their stamps say so.
        dropped: probability that an observation does not arrive; the one before stands in for it, stamp and all.
        hand_push_m: the hand's target is displaced once by so much, in a random horizontal direction.
        object_push_mps: a free object is given so much speed once, in a random horizontal direction.
        period_s: of control and physics together; a command is a velocity, so it means the same at any rate, but
            may change by no more in a step than in one of the contract's periods.
    """

    action_noise: float = 0.0
    observation_noise_m: float = 0.0
    delay: int = 0
    dropped: float = 0.0
    hand_push_m: float = 0.0
    object_push_mps: float = 0.0
    period_s: float = PERIOD_S


NONE = Disturbance()

PUSHED_S = (0.25, 0.5)
"""When a push comes: between these times in s; most tasks are done after 0.6 to 1.2."""


Meanwhile = Literal["stands", "plays on", "pauses"]


@dataclass(frozen=True)
class Thinking:
    """How long a query takes, and what happens meanwhile.

    Attributes:
        steps: control steps between the observation of a query and the first command by its answer.
        meanwhile: the last command `stands`; or the answer before `plays on`; or the robot `pauses`: velocities are 0
            and the gripper keeps its command. Until the first answer the robot stands still in any case.
    """

    steps: int = 0
    meanwhile: Meanwhile = "stands"


AT_ONCE = Thinking()


@dataclass(frozen=True)
class Outcome:
    """What became of an episode: step of the first success (0: none), queries of the diffusion model, steps run."""

    first_success_step: int
    queries: int
    steps: int


def disturbed_episode(
    scene: Scene,
    actor: Actor,
    task: str,
    layout: int,
    disturbance: Disturbance = NONE,
    thinking: Thinking = AT_ONCE,
) -> Outcome:
    """Run one episode of 6.25 s, or until the first success.

    Args:
        scene: of `task`; its period is set.
        actor: begun with the seed `layout + 1`, as `lwd evaluate` has it.
        task: name.
        layout: seed of the layout and, with the task, of all disturbances, the same for every actor.
        disturbance: what goes wrong.
        thinking: how long queries take. One command at least is given by every answer.
    """
    streams = ("act", "see", "drop", "push")
    random = {name: np.random.default_rng([layout, zlib.crc32(task.encode()), k]) for k, name in enumerate(streams)}
    contract, limiter = scene.contract, CommandLimiter(scene.contract)
    share = disturbance.period_s / contract.period_s
    spread = disturbance.action_noise * contract.command_limits[1]
    push_step = round(random["push"].uniform(*PUSHED_S) / disturbance.period_s)
    angle = random["push"].uniform(0.0, 2.0 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    steps = round(EPISODE_STEPS * contract.period_s / disturbance.period_s)

    scene.reset(layout)
    noise, measured = np.zeros(len(contract.observation)), np.flatnonzero(scene.measured_positions)
    scene.set_period(disturbance.period_s)
    actor.begin(task, layout + 1)
    history, seen, stamp_s, waiting, answers = [], None, 0.0, 0, 0
    command = np.zeros(len(contract.command))
    for step in range(steps):
        noise[measured] = disturbance.observation_noise_m * random["see"].standard_normal(len(measured))
        history.append(scene.observe() + noise)
        arrived = random["drop"].random() >= disturbance.dropped
        if seen is None or arrived:
            taken = max(0, step - disturbance.delay)
            seen, stamp_s = history[taken], taken * disturbance.period_s
        if step == push_step:
            if disturbance.hand_push_m:
                scene.push_hand(disturbance.hand_push_m * direction)
            if disturbance.object_push_mps:
                scene.push_object(disturbance.object_push_mps * direction)
        actor.see(seen, step * disturbance.period_s, stamp_s)
        answered = waiting == 1
        waiting = max(0, waiting - 1)
        if answered:
            actor.adopt(stood_still=answers == 0 or thinking.meanwhile == "pauses")
            answers += 1
        if not waiting and actor.due:
            actor.query()
            waiting = thinking.steps
            if not waiting:
                actor.adopt()
        if thinking.meanwhile == "plays on" or answered or not waiting:
            found = actor.command()
            command = command if found is None else found.copy()
        elif thinking.meanwhile == "pauses":
            command = at_rest(contract, command)
        # Limited first: a command far beyond its limit would swallow the noise.
        executed = np.clip(command, *contract.command_limits) + spread * random["act"].standard_normal(len(command))
        if scene.step(limiter.apply(executed, share)):
            return Outcome(step + 1, actor.queries, step + 1)
    return Outcome(0, actor.queries, steps)
