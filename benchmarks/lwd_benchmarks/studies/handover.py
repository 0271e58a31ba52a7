"""The study of handovers: how late may a policy be asked for after its task began, and what may happen meanwhile?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from joblib import delayed

from lwd_benchmarks.results import HandoverResult, checked, upgraded_handovers
from lwd_ros import __version__
from lwd_ros.contract import CommandLimiter
from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.episode import run_episode
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.environments.metaworld.tasks import EPISODE_STEPS, REVERSES
from lwd_ros.evaluation.chains import MEANWHILE, SEED_STEP, Pause, wait
from lwd_ros.evaluation.evaluate import open_model, wilson_interval
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.generator import ModelError, PolicyGenerator

PAUSES_S = (0.0, 1.0, 3.0, 8.0, 10.0)
"""How long after its task began a policy is asked for."""

_PART = 5  # layouts that one process does in a row, in scenes that it builds once


@dataclass(frozen=True)
class Rules:
    """What is run: every task of the model whose reverse it knows as well, each after its reverse."""

    episodes: int = 50
    first_layout: int = 200_000
    pauses_s: tuple[float, ...] = PAUSES_S

    def describe(self) -> dict:
        """A result's protocol; the first layout is stated by model, so that one trained anew can have unseen ones."""
        return {
            "success": f"after the request, at any step of {EPISODE_STEPS}",
            "policies_per_link": 1,
            "episodes": self.episodes,
            "policy_seed": f"layout + 1 + {SEED_STEP} * link, the first link being 0",
            "pauses_s": list(self.pauses_s),
        }


def _handovers(model: Path, before: str, task: str, hold: bool, layouts: Sequence[int], pauses_s: Sequence[float]):
    """Per layout and pause: (first success step after the request, whether the task was done at the request).

    The step is 0 for none; both are None where the task before failed. What follows a pause happens in a copy of the
    scene, so that all pauses of a layout are stretches of one.
    """
    generator = PolicyGenerator(model)
    contract = generator.description.contract
    first, scene, copied = Scene(before, contract), Scene(task, contract), Scene(task, contract)
    results: list[list[tuple[int | None, bool | None]]] = []
    for layout in layouts:
        limiter = CommandLimiter(contract)
        actor = PolicyActor(generator.generate(before, layout + 1, first.reset(layout)), contract)
        if not run_episode(first, actor, None, limiter=limiter).success:
            results.append([(None, None)] * len(pauses_s))
            continue
        scene.take_over(first)
        passed, done = 0, False
        row: list[tuple[int | None, bool | None]] = []
        for seconds in pauses_s:
            steps = Pause(seconds).steps(contract)
            if steps > passed:
                done = wait(scene, actor, limiter, steps - passed, hold)
                passed = steps
            asked = generator.generate(task, layout + 1 + SEED_STEP, copied.take_over(scene))
            after = CommandLimiter(contract)
            after.reset(limiter.previous)
            outcome = run_episode(copied, PolicyActor(asked, contract), None, limiter=after)
            row.append((outcome.first_success_step, done))
        results.append(row)
    return results


def study_handover(model: Path, rules: Rules, workers: int, tasks: Sequence[str] = ()) -> dict:
    """Success of the second of two tasks that undo each other, by the pause before its policy is asked for.

    Args:
        model: model file; of its tasks, those whose reverse it knows are judged.
        rules: episodes, layouts, pauses.
        workers: processes.
        tasks: only these second tasks; none: all.

    Raises:
        ModelError: the model file cannot be used or knows no two such tasks, or the layouts were trained on.
    """
    known = PolicyGenerator(model).tasks
    chosen = [t for t in known if REVERSES.get(t) in known and (not tasks or t in tasks)]
    if not chosen:
        expected = ", ".join(tasks or REVERSES)
        raise ModelError(f"{model}: found no two tasks that undo each other, expected some of {expected}")
    generator = open_model(model, chosen, rules.first_layout, rules.episodes)
    layouts, pauses = range(rules.first_layout, rules.first_layout + rules.episodes), sorted(rules.pauses_s)
    jobs = [
        (REVERSES[task], task, hold, layouts[i : i + _PART])
        for task in chosen
        for hold in (False, True)
        for i in range(0, len(layouts), _PART)
    ]
    calls = (delayed(_handovers)(model.resolve(), *job, pauses) for job in jobs)
    outcomes: dict[tuple, list] = {}
    for (before, task, hold, _), part in zip(jobs, in_order(calls, workers, model.stem, "part"), strict=True):
        outcomes.setdefault((before, task, hold), []).extend(part)
    rows = []
    for (before, task, hold), episodes in outcomes.items():
        for place, seconds in enumerate(pauses):
            found = [row[place] for row in episodes]
            steps = [step for step, _ in found if step]
            rows.append(
                {
                    "before": before,
                    "task": task,
                    "meanwhile": MEANWHILE[hold],
                    "pause_s": seconds,
                    "success": len(steps) / rules.episodes,
                    "successes": len(steps),
                    "episodes": rules.episodes,
                    "interval": wilson_interval(len(steps), rules.episodes),
                    "done": sum(bool(done) for _, done in found),
                    "failed_before": sum(step is None for step, _ in found),
                    "failed_layouts": [layout for layout, (step, _) in zip(layouts, found, strict=True) if not step],
                    "longest_steps": max(steps, default=None),
                }
            )
    return {
        "model_digest": generator.digest,
        "policy_parameters": generator.description.policy_parameters,
        "lwd_ros": __version__,
        "first_layout": rules.first_layout,
        "rows": rows,
    }


def merged(path: Path, models: dict[str, dict], rules: Rules) -> dict:
    """The result in `path` with the rows of `models` by name in the place of theirs; those of other models stay.

    Raises:
        ModelError: the result there is none of this study, or follows another protocol.
    """
    earlier: dict[str, dict] = {}
    if path.exists():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            content = upgraded_handovers(content)
            checked(HandoverResult, content, path)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path}: is no result of 'lwd study handover' ({error}); name another file") from error
        protocol, earlier = content["protocol"], content["models"]
        if protocol != rules.describe():
            raise ModelError(f"{path}: found protocol {protocol}, expected {rules.describe()}; name another file")
    return {"study": "handover", "protocol": rules.describe(), "models": {**earlier, **models}}
