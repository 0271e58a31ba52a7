"""Pins every command of the studies' episodes, bit for bit, to those of the loops that the one loop replaced."""

import hashlib

import numpy as np
from golden_support import executed, golden, golden_machine  # noqa: F401
from lwd_benchmarks.studies.comparison import Case, Rules, compare
from lwd_benchmarks.studies.handover import _handovers
from lwd_benchmarks.studies.latents import _roll_out
from lwd_benchmarks.studies.methods import Method
from lwd_benchmarks.studies.reconstruction import _originals
from lwd_benchmarks.studies.trials import Trial

from lwd_ros.environments.collect import CollectSettings
from lwd_ros.environments.disturbance import Disturbance
from lwd_ros.environments.episode import Thinking
from lwd_ros.generator import PolicyGenerator

FIRST = 150_000


def _same(key, executed, *numbers):  # noqa: F811
    executed.add(np.array(numbers, dtype=np.float64))
    golden(key, [executed.digest(), executed.steps])


def test_handovers(executed, model_path):  # noqa: F811
    for hold in (False, True):
        rows = _handovers(model_path, "drawer-open-v3", "drawer-close-v3", hold, (FIRST, FIRST + 1), (0.0, 0.25, 0.5))
        _same(f"handover: {hold}", executed, *(number for row in rows for pair in row for number in pair))


def test_originals_and_the_expert_beside_them(executed, contract):  # noqa: F811
    originals, failed = _originals(contract, "push-v3", 2, FIRST, CollectSettings(noise=(0.2, 0.2)))
    frames = [o.demonstration.observation.sum() for o in originals] + [
        o.expert.record.commands.sum() for o in originals
    ]
    _same("originals", executed, failed, *frames)


def test_policies_of_latents(executed, contract, model_path):  # noqa: F811
    generator = PolicyGenerator(model_path)
    policies = [generator.generate("push-v3", seed) for seed in (1, 2)]
    runs = _roll_out(contract, "push-v3", policies, (FIRST, FIRST + 1))
    _same("latents", executed, *(run.first_success_step for run in runs), *(run.record.commands.sum() for run in runs))


def test_trials(executed, model_path, tmp_path):  # noqa: F811
    digest = hashlib.sha256(model_path.read_bytes()).hexdigest()
    method = Method("lwd", "lwd", {40: ((model_path, digest),)})
    case = Case({}, Disturbance(action_noise=0.1, delay=1), lambda method, horizon: Thinking(2, "pauses"))
    (row,) = compare([method], [case], Rules(("push-v3",), 2, FIRST, tmp_path, 1))
    _same("trials", executed, row.counts.queries, row.counts.steps)


def test_a_trial_is_named_as_before():
    """What was kept of earlier studies is found again."""
    trial = Trial("lwd", FIRST, "a" * 64, 40, "push-v3", FIRST, 2, Disturbance(delay=1), Thinking(2))
    identity = {key: value for key, value in trial.identity.items() if key != "versions"}
    golden("trial", identity)
