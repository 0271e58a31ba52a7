"""Study: what the latent space looks like, and how different the policies are that it gives for one task."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from joblib import delayed

from lwd_benchmarks.studies.paths import hand_path, millimetres, observed
from lwd_benchmarks.studies.reconstruction import commands_of
from lwd_benchmarks.studies.runs import describe_run, open_run, representative
from lwd_ros.contract import Contract
from lwd_ros.environments.actors import PolicyActor
from lwd_ros.environments.episode import Outcome, run_episode
from lwd_ros.environments.metaworld.scene import Scene
from lwd_ros.evaluation.parallel import in_order
from lwd_ros.learning.codec import decode, sample
from lwd_ros.policy import Policy

POLICIES = 8  # generated for each of a few tasks, to show how they differ


def _first_observations(contract: Contract, task: str, layouts: Sequence[int]) -> np.ndarray:
    """float64 [layouts, observations]."""
    scene = Scene(task, contract)
    return np.stack([scene.reset(layout) for layout in layouts])


def _roll_out(contract: Contract, task: str, policies: Sequence[Policy], layouts: Sequence[int]) -> list[Outcome]:
    """Each policy on its own layout, up to the first success."""
    scene, results = Scene(task, contract), []
    for policy, layout in zip(policies, layouts, strict=True):
        results.append(run_episode(scene, PolicyActor(policy, contract), layout, record=True))
    return results


def principal_components(points: np.ndarray, count: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [D], directions [count, D] and their shares of the variance [count] of points [N, D], by SVD.

    The largest entry of each direction is positive, so that the same points always give the same picture.
    """
    mean = points.mean(axis=0)
    _, singular, directions = np.linalg.svd(points - mean, full_matrices=False)
    directions = directions[:count]
    largest = np.abs(directions).argmax(axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    return mean, directions, (singular**2 / (singular**2).sum())[:count]


def _picture(encoded: dict[str, np.ndarray], sampled: dict[str, np.ndarray]) -> dict:
    """Two dimensions of standardised latents; scale and plane are those of the encoded ones."""
    together = np.concatenate(list(encoded.values()))
    mean, std = together.mean(axis=0), np.maximum(together.std(axis=0), 1e-6)
    encoded, sampled = ({task: (z - mean) / std for task, z in latents.items()} for latents in (encoded, sampled))
    everything = np.concatenate(list(encoded.values())).astype(np.float64)
    centre, directions, shares = principal_components(everything)
    owner = np.repeat(np.arange(len(encoded)), [len(z) for z in encoded.values()])

    def flat(latents: np.ndarray) -> list[list[float]]:
        return ((latents - centre) @ directions.T).round(3).tolist()

    tasks = {}
    for number, task in enumerate(encoded):
        distances = np.linalg.norm(sampled[task][:, None] - everything[None], axis=2)
        tasks[task] = {
            "encoded": flat(encoded[task]),
            "sampled": flat(sampled[task]),
            "nearest_encoded_is_of_the_task": float((owner[distances.argmin(axis=1)] == number).mean()),
        }
    return {"explained_variance": shares.round(4).tolist(), "tasks": tasks}


def weight_distance(policies: Sequence[Policy]) -> float:
    """Mean distance between the weights of two of the policies, relative to the mean norm of such weights."""
    weights = np.stack([policy.weights for policy in policies]).astype(np.float64)
    pairs = [np.linalg.norm(a - b) for a, b in combinations(weights, 2)]
    return float(np.mean(pairs) / np.linalg.norm(weights, axis=1).mean())


def action_disagreement(policies: Sequence[Policy], observations: np.ndarray, contract: Contract) -> np.ndarray:
    """float64 [commands]: standard deviation over policies of their commands, averaged over observations, in units of
    half a command's range."""
    commands = np.stack([commands_of(policy, observations, contract) for policy in policies])
    minimum, maximum = contract.command_limits
    return commands.std(axis=0).mean(axis=0) / ((maximum - minimum) / 2)


def _diversity(contract: Contract, policies: Sequence[Policy], runs: Sequence[Outcome], layouts, observations) -> dict:
    disagreement = action_disagreement(policies, observations, contract)
    return {
        "layouts": list(layouts),
        "successes": sum(run.success for run in runs),
        "weight_distance": weight_distance(policies),
        "action_disagreement": float(disagreement.mean()),
        "action_disagreement_per_command": dict(zip(contract.command_names, disagreement.tolist(), strict=True)),
        "paths": [millimetres(hand_path(contract, observed(run))) for run in runs],
    }


def study_latents(folder: Path, tasks: Sequence[str], episodes: int, first_layout: int, workers: int) -> dict:
    """Latents of up to `episodes` demonstrations a task (all of the run's where `tasks` is empty) and as many sampled.

    Sampling uses the seeds layout + 1 and, where the run is conditioned on them, the first observations of the layouts
    from `first_layout` on, as `lwd evaluate` does.

    Returns:
        The head of `describe_run`; `explained_variance` of the picture's two axes; `tasks.<name>` with `encoded` and
        `sampled` points [N][2] and `nearest_encoded_is_of_the_task`, a share of the samples (in all dimensions);
        `diversity.<name>` of up to 4 tasks: 8 policies of the same 8 seeds for `one_layout` and for `many_layouts`,
        each with `layouts`, `successes`, `weight_distance`, `action_disagreement` on the observations of the first
        policy's first rollout (also per command), `paths` as 20 points in whole millimetres.

    Raises:
        ModelError: the run does not know a task, or the layouts were trained on.
        ConfigError: the folder holds no run.
    """
    run, tasks = open_run(folder, tasks, first_layout, episodes)
    contract, latents = run.data.contract, run.autoencoder.encode(run.data.tokens).numpy()
    layouts = range(first_layout, first_layout + max(episodes, POLICIES))
    first: dict[str, np.ndarray | None] = dict.fromkeys(tasks)
    if run.config.condition_on_observation:
        calls = (delayed(_first_observations)(contract, task, layouts) for task in tasks)
        first = dict(zip(tasks, in_order(calls, workers, "layouts", "task"), strict=True))
    seeds = [layout + 1 for layout in layouts]
    encoded, sampled = {}, {}
    for task in tasks:
        own = latents[(run.data.task == run.data.tasks.index(task)).numpy()]
        encoded[task] = own[np.linspace(0, len(own) - 1, min(episodes, len(own))).round().astype(int)]
        sampled[task] = sample(run, task, seeds, first[task])

    shown, sets = representative(tasks), {}
    for task in shown:
        seen = first[task]
        one = None if seen is None else np.repeat(seen[:1], POLICIES, axis=0)
        policies = decode(run, sample(run, task, seeds[:POLICIES], one), task, one)
        sets[task, "one_layout"] = policies, [layouts[0]] * POLICIES
        many = None if seen is None else seen[:POLICIES]
        sets[task, "many_layouts"] = decode(run, sampled[task][:POLICIES], task, many), list(layouts[:POLICIES])
    calls = (delayed(_roll_out)(contract, task, *chosen) for (task, _), chosen in sets.items())
    runs = dict(zip(sets, in_order(calls, workers, "policies", "set"), strict=True))
    diversity: dict[str, dict] = {task: {} for task in shown}
    for (task, name), (policies, where) in sets.items():
        observations = observed(runs[task, "one_layout"][0])
        diversity[task][name] = _diversity(contract, policies, runs[task, name], where, observations)
    sampled = {task: latents[:episodes] for task, latents in sampled.items()}
    head = describe_run(run, "latents", first_layout=first_layout, policy_seed="layout + 1")
    return {**head, **_picture(encoded, sampled), "diversity": diversity}
