"""Pins every command of every kind of episode, bit for bit, to those of the loops that the one loop replaced."""

import hashlib

import numpy as np
import pytest
from golden_support import executed, golden, golden_machine  # noqa: F401

from lwd_ros.contract import CommandLimiter
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.collect import CollectSettings, collect, demonstrate
from lwd_ros.environments.disturbance import Disturbance
from lwd_ros.environments.episode import Thinking, run_episode
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.evaluation.actors import LwdActor
from lwd_ros.evaluation.chains import Pause, evaluate_chain
from lwd_ros.evaluation.evaluate import evaluate
from lwd_ros.evaluation.expert import evaluate_expert
from lwd_ros.generator import PolicyGenerator
from lwd_ros.resources import share_path

LAYOUT = 150_000
ROBUST = share_path("models", "metaworld_mt10_robust.onnx")


def _sha(*arrays) -> str:
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def test_a_rollout(executed, contract, model_path):  # noqa: F811
    scene = Scene("push-v3", contract)
    policy = PolicyGenerator(model_path).generate("push-v3", 5, scene.reset(LAYOUT))
    limiter = CommandLimiter(contract)
    limiter.reset(np.array([0.3, -0.2, 0.1, 1.0]))
    actor, unlimited = PolicyActor(policy, contract), {"stop_at_success": False, "record": True}
    run = run_episode(scene, actor, None, steps=120, limiter=limiter, **unlimited)
    golden(
        "rollout", [_sha(run.record.observations), _sha(run.record.commands), run.first_success_step, executed.digest()]
    )


DISTURBED = {
    "none": (Disturbance(), Thinking()),
    "action noise": (Disturbance(action_noise=0.3), Thinking()),
    "observation noise": (Disturbance(observation_noise_m=0.005), Thinking()),
    "delay": (Disturbance(delay=3), Thinking()),
    "dropped": (Disturbance(delay=1, dropped=0.5), Thinking()),
    "push of the hand": (Disturbance(hand_push_m=0.1), Thinking()),
    "push of the object": (Disturbance(object_push_mps=0.6), Thinking()),
    "period": (Disturbance(period_s=0.025), Thinking()),
    "all": (Disturbance(0.1, 0.002, 2, 0.2, 0.03, 0.3, 0.005), Thinking(2)),
    "stands": (Disturbance(), Thinking(5)),
    "plays on": (Disturbance(), Thinking(5, "plays on")),
    "pauses": (Disturbance(), Thinking(5, "pauses")),
}


class _FloatingAge(LwdActor):
    """Takes the age from times in s, as before; that of stamps in ns, as a robot has it, differs in its last bit."""

    def see(self, observation, time_s, stamp_s):
        super().see(observation, time_s, stamp_s)
        place = self.contract.age_place
        if place is not None:
            self._seen[place] = min(time_s - stamp_s, self.contract.observation[place].maximum)


@pytest.mark.parametrize("kind", [_FloatingAge, LwdActor])
@pytest.mark.parametrize("name", DISTURBED)
def test_disturbed_episodes(executed, model_path, name, kind):  # noqa: F811
    disturbance, thinking = DISTURBED[name]
    is_late = disturbance.delay or disturbance.dropped
    if kind is LwdActor and not is_late:
        pytest.skip("nothing is late: the age is 0")
    for model in (model_path, ROBUST):  # the second is told how old observations are
        actor = kind(model, horizon=30)
        scene = Scene("push-v3", actor.contract)
        for layout in (LAYOUT, LAYOUT + 1):
            outcome = run_episode(scene, actor, layout, disturbance=disturbance, thinking=thinking)
            executed.add(np.array([outcome.first_success_step, outcome.queries, outcome.steps]))
    golden(f"disturbed: {name}{', ages of stamps' * (kind is LwdActor)}", [executed.digest(), executed.steps])


def test_a_demonstration(executed, contract):  # noqa: F811
    episode = demonstrate(Scene("push-v3", contract), LAYOUT, 3, CollectSettings(noise=(0.2, 0.3)))
    golden("demonstration", [_sha(episode.observation, episode.action), executed.digest(), executed.steps])


@pytest.mark.parametrize(
    ("name", "tasks", "settings"),
    [
        ("usual", ("push-v3", "drawer-close-v3"), CollectSettings(episodes=2)),
        ("anywhere", ("drawer-close-v3",), CollectSettings(episodes=1, anywhere=3, drift_steps=60, seed=1)),
    ],
)
def test_a_dataset(executed, tmp_path, contract, name, tasks, settings):  # noqa: F811
    meta = collect(tmp_path, tasks, contract, settings, 1)
    episodes = [episode for task in tasks for episode in Demonstrations(tmp_path).episodes[task]]
    frames = _sha(*(array for episode in episodes for array in (episode.observation, episode.action)))
    golden(f"dataset: {name}", [frames, executed.digest(), executed.steps])
    golden(f"file digest: {name}", meta["digest"])


CHAIN = ("drawer-open-v3", "drawer-close-v3", "drawer-open-v3")


@pytest.mark.parametrize(
    ("name", "pause"), [("at once", None), ("drives on", Pause(0.5)), ("held", Pause(0.5, hold=True))]
)
def test_a_chain(executed, model_path, name, pause):  # noqa: F811
    result = evaluate_chain(model_path, CHAIN, 2, LAYOUT, 1, pause)
    for link in result["links"]:
        executed.add(np.array([*link["steps_to_success"], link.get("done", 0)]))
    golden(f"chain: {name}", [executed.digest(), executed.steps])


def test_an_evaluation(executed, model_path):  # noqa: F811
    evaluate(model_path, ("push-v3", "window-close-v3"), 2, LAYOUT, 1)
    golden("evaluation", [executed.digest(), executed.steps])


def test_an_evaluation_of_the_experts(executed):  # noqa: F811
    evaluate_expert(("push-v3", "window-close-v3"), 2, LAYOUT, 1)
    golden("evaluation of the experts", [executed.digest(), executed.steps])
