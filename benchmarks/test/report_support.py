"""Made-up results of a study, in the form that `lwd study` and `lwd evaluate` write."""

import json
import math
import zlib
from pathlib import Path

import numpy as np

from lwd_ros.environments.metaworld.tasks import MT10, MT50
from lwd_ros.evaluation.evaluate import wilson_interval

TASKS = {"mt10": MT10, "mt50": MT50}
MEANS = ("action_mean_absolute", "action_mean_absolute_of_others", "same_layout_mm", "other_layout_mm",
         "energy_distance_mm", "energy_distance_noise_floor_mm")  # fmt: skip


def result(entry="mt10_lwd", seed=0, successes=None, episodes=50, **study) -> dict:
    """One result; `successes` of each task: a number, or a mapping for some tasks, the others without failure."""
    study = {
        "entry": entry,
        "set": "mt10",
        "goal": "visible",
        "method": "lwd",
        "seed": seed,
        "hidden_layers": [16, 16],
        "demonstrations_per_task": 0,
        "steps": 16000,
        "groups": ["main"],
        "layouts": "reporting",
        "training_s": 171.3,
        "parameters": 692,
    } | study
    parameters, expert = study.pop("parameters"), study["method"] == "expert"
    learning = {"train_config": {"autoencoder": {"learning_rate": 0.002}}, "data_digest": f"{study['set']}'s"}
    study["job"] = {} if expert else learning
    tasks, first = {}, 200_000 if study["layouts"] == "reporting" else 100_000
    for task in TASKS[study["set"]]:
        count = successes if isinstance(successes, int) else (successes or {}).get(task, episodes)
        tasks[task] = {
            "success": count / episodes,
            "episodes": episodes,
            "successes": count,
            "interval": wilson_interval(count, episodes),
            "steps_to_success": {"median": 60.0, "max": 90},
            "failed_layouts": list(range(first, first + episodes - count)),
        }
    if expert:
        study |= dict.fromkeys(("hidden_layers", "demonstrations_per_task", "steps", "training_s"))
    return {
        "model": None if expert else f"{entry}_seed{seed}.onnx",
        "model_digest": None if expert else f"{zlib.crc32(f'{entry} {seed}'.encode()):064x}",
        "method": study["method"],
        "policy_parameters": None if expert else parameters,
        "protocol": {"first_layout": first},
        "mean_success": sum(row["success"] for row in tasks.values()) / len(tasks),
        "flops_per_step": None if expert else 2 * parameters,
        "generation_ms": None if expert else 0.5 + 0.01 * seed,
        "tasks": tasks,
        "study": study,
    }


def chain(seed=0, links=(("drawer-open-v3", 50), ("drawer-close-v3", 48)), episodes=50) -> dict:
    """One result of a chain."""
    rows = [{"task": task, "successes": count, "episodes": episodes} for task, count in links]
    whole = result("chain_drawer", seed, groups=[])
    return {"links": rows, **{key: whole[key] for key in ("model_digest", "protocol", "study")}}


def write(folder: Path, *results: dict) -> Path:
    """Write results under the names that they ask for."""
    folder.mkdir(parents=True, exist_ok=True)
    for content in results:
        study = content["study"]
        (folder / f"{study['entry']}_seed{study['seed']}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def made_up(set_: str, tasks_count: float, difficulty: float, seed: int) -> dict[str, int]:
    """Successes of 50 per task that vary between tasks and seeds, always alike for the same arguments."""
    found = {}
    for task in TASKS[set_]:
        draw = zlib.crc32(f"{task} {seed} {tasks_count}".encode()) / 2**32
        hard = zlib.crc32(task.encode()) / 2**32
        share = (
            1 - difficulty * (1 + 0.25 * math.sin(7 * seed)) * (0.15 + hard) ** 3 - 0.04 * draw * math.sqrt(difficulty)
        )
        found[task] = min(50, max(0, round(50 * share)))
    return found


def _bundle(rng, paths: int, spread: float) -> list:
    """Made-up hand paths [paths][20][3] in whole millimetres: from one place to different ones, over a hill."""
    t = np.linspace(0, 1, 20)[None, :, None]
    start, end = np.array([0, 600, 190]), np.array([50, 750, 60]) + spread * rng.normal(size=(paths, 1, 3))
    bent = start + t * (end - start) + np.sin(np.pi * t) * [0, 0, 60] + 2 * rng.normal(size=(paths, 20, 3))
    return bent.round().astype(int).tolist()


def _of_a_run(study: str, run: str, seed: int) -> dict:
    """The head of what is studied of a run."""
    digests = {"run_digest": "a", "data_digest": "mt10's" if "mt10" in run else "mt50's", "lwd_ros": "0.1.0"}
    return {"study": study, "run": run, "seed": seed, **digests, "policy_parameters": 692, "protocol": {}}


def reconstruction(run="metaworld_mt10_visible", seed=0, tasks=MT10, demonstrations=20, decoded=19) -> dict:
    """What `lwd reconstruction` writes, as far as the report reads it."""
    rng = np.random.default_rng(seed)
    rolled = {"success": 1.0, "interval": [0.8, 1.0]}
    row = {
        "demonstrations": demonstrations,
        "expert": {"successes": demonstrations, **rolled},
        "decoded": {"successes": decoded, **rolled},
        "expert_failed": 0,
        "same_outcome": 1.0,
        "action_error": {},
        "paths": {},
    }
    mean = dict(zip(MEANS, (0.05, 0.1, 8.0, 60.0, 1.5, 1.2), strict=True))
    kept = {
        task: {"layouts": [0] * 8, "expert": _bundle(rng, 8, 40), "decoded": _bundle(rng, 8, 40)} for task in tasks[:4]
    }
    head = {**_of_a_run("reconstruction", run, seed), "mean": mean}
    return head | {"tasks": dict.fromkeys(tasks, row), "kept_paths": kept}


def latents(run="metaworld_mt10_visible", seed=0, tasks=MT10, points=40) -> dict:
    """What `lwd latents` writes, as far as the report reads it."""
    rng = np.random.default_rng(seed)
    picture, diversity = {}, {}
    for number, task in enumerate(tasks):
        centre = 8 * rng.normal(size=2)
        made = {name: (centre + rng.normal(size=(points, 2))).round(3).tolist() for name in ("encoded", "sampled")}
        picture[task] = made | {"nearest_encoded_is_of_the_task": 1.0 if number % 3 else 0.9}
        if number < 4:
            diversity[task] = {
                name: {"layouts": [200_000] * 8, "successes": 8, "weight_distance": 0.2, "action_disagreement": 0.04,
                       "action_disagreement_per_command": {},
                       "paths": _bundle(rng, 8, spread)}
                for name, spread in (("one_layout", 5), ("many_layouts", 40))
            }  # fmt: skip
    return _of_a_run("latents", run, seed) | {
        "explained_variance": [0.3, 0.1],
        "tasks": picture,
        "diversity": diversity,
    }


def full_study(folder: Path) -> Path:
    """A study of every group, both sets, three seeds."""
    made = []
    for set_, scale in (("mt10", 1.0), ("mt50", 1.6)):
        for goal in ("visible", "hidden"):
            for place, method in enumerate(("lwd", "regression_hypernetwork", "nearest_latent", "mean_latent",
                                            "task_mlp", "multitask_mlp", "expert")):  # fmt: skip
                if method == "expert" and goal == "hidden":
                    continue
                for seed in range(1 if method == "expert" else 3):
                    hard = (
                        0.02 if method == "expert" else scale * (0.05 + 0.06 * place) * (2 if goal == "hidden" else 1)
                    )
                    made.append(
                        result(
                            f"{set_}_{goal}_{method}",
                            seed,
                            made_up(set_, place, hard, seed),
                            set=set_,
                            goal=goal,
                            method=method,
                            parameters=692 + 160 * (method == "multitask_mlp"),
                        )
                    )
        for method, sizes in (("lwd", (100, 190, 328, 692, 1892)), ("multitask_mlp", (364, 852, 2212, 6468, 21124))):
            for size in sizes:
                for seed in range(3):
                    hard = (
                        scale * 0.9 * (60 / size) ** 0.9
                        if method == "lwd"
                        else scale * 0.9 * (250 / size) ** 0.8 + 0.06
                    )
                    made.append(
                        result(
                            f"{set_}_{method}_{size}",
                            seed,
                            made_up(set_, size, hard, seed),
                            set=set_,
                            method=method,
                            hidden_layers=[size // 100, size // 100],
                            parameters=size,
                            groups=["size"],
                        )
                    )
        for size in (364, 2212, 21124):
            for steps in (8000, 16000, 32000, 64000):
                hard = scale * (0.6 * (250 / size) ** 0.8 + 0.06) * (1 + 8000 / steps)
                made.append(
                    result(
                        f"{set_}_mlp_{size}_{steps}",
                        0,
                        made_up(set_, size, hard, steps),
                        set=set_,
                        method="multitask_mlp",
                        parameters=size,
                        steps=steps,
                        groups=["budget"],
                        layouts="validation",
                    )
                )
        for steps in (8000, 16000, 32000):
            hard = scale * 0.05 * (1 + 8000 / steps)
            made.append(
                result(
                    f"{set_}_lwd_692_{steps}",
                    0,
                    made_up(set_, 3, hard, steps),
                    set=set_,
                    steps=steps,
                    groups=["budget"],
                    layouts="validation",
                )
            )
        for place, method in enumerate(("lwd", "task_mlp", "multitask_mlp")):
            for count in (3, 5, 10, 20, 50, 100, 0):
                for seed in range(3):
                    hard = scale * (3.0 / (count or 200)) ** 0.8 * (0.8 + 0.3 * place) + 0.03 * place
                    made.append(
                        result(
                            f"{set_}_{method}_d{count}",
                            seed,
                            made_up(set_, count, hard, seed),
                            set=set_,
                            method=method,
                            demonstrations_per_task=count,
                            groups=["demonstrations"],
                            parameters=692 if method != "multitask_mlp" else 6468,
                        )
                    )
    write(folder, *made)
    for seed in range(3):
        write(folder, chain(seed))
    for run, tasks in (("mt10_visible", MT10), ("mt10_hidden", MT10), ("mt50_visible", MT50)):
        for make in (reconstruction, latents):
            for seed in range(2):
                made = make(f"metaworld_{run}", seed, tasks)
                (folder / f"{make.__name__}_{run}_seed{seed}.json").write_text(json.dumps(made), encoding="utf-8")
    return folder
