"""lwd study: one command for each study behind the documented figures."""

import functools
from pathlib import Path

import click

from lwd_benchmarks.gaits.commands import gaits, teachers
from lwd_benchmarks.paths import in_checkout
from lwd_ros.cli.support import COUNT, FROM_ZERO, WORKERS, needs, tasks_of, workers_of


@click.group()
def study() -> None:
    """Studies behind the documented figures; each writes JSON."""


def _of_a_run(episodes: int, first_layout: int):
    """The options of a study of one run folder."""
    return lambda function: functools.reduce(
        lambda decorated, option: option(decorated),
        (
            WORKERS,
            click.option("--json", "path", type=click.Path(path_type=Path), required=True, help="Write it here."),
            click.option("--first-layout", type=FROM_ZERO, default=first_layout, help="First layout seed."),
            click.option("--episodes", type=click.IntRange(min=4), default=episodes, help="Demonstrations a task."),
            click.option("--tasks", default="all", help="Tasks, comma-separated; all: every task of the run."),
            click.option("--run", "folder", type=click.Path(path_type=Path), required=True, help="Run of 'lwd train'."),
        ),
        function,
    )


@study.command()
@_of_a_run(episodes=20, first_layout=300_000)
@needs("sim,train")
def reconstruction(folder, tasks, episodes, first_layout, path, workers) -> None:
    """Policies decoded from held-out demonstrations against the experts that made these."""
    from lwd_benchmarks.results import ReconstructionResult, write
    from lwd_benchmarks.studies.reconstruction import study_reconstruction

    names = () if tasks == "all" else tasks_of(tasks)
    result = study_reconstruction(folder, names, episodes, first_layout, workers_of(workers))
    write(ReconstructionResult, result, path)
    for name, value in result["mean"].items():
        click.echo(f"{name:32} {value:8.3f}")
    click.echo(f"written to {path}")


@study.command()
@_of_a_run(episodes=40, first_layout=300_000)
@needs("sim,train")
def latents(folder, tasks, episodes, first_layout, path, workers) -> None:
    """A picture of the latent space, and how different the policies are that it gives for one task."""
    from lwd_benchmarks.results import LatentsResult, write
    from lwd_benchmarks.studies.latents import study_latents

    names = () if tasks == "all" else tasks_of(tasks)
    result = study_latents(folder, names, episodes, first_layout, workers_of(workers))
    write(LatentsResult, result, path)
    for task, sets in result["diversity"].items():
        shares = "  ".join(f"{name} {entry['action_disagreement']:.3f}" for name, entry in sets.items())
        click.echo(f"{task:26} action disagreement: {shares}")
    click.echo(f"written to {path}")


@study.command()
@click.option(
    "--study",
    "file",
    type=click.Path(),
    help="What to train and judge; paths in it are relative to the current folder.  "
    "[default: benchmarks/config/study/metaworld.yaml of the repository]",
)
@click.option("--only", default="*", help="Entries, or ENTRY_seedN, comma-separated; * and ? stand for any letters.")
@WORKERS
@needs("sim,train")
def metaworld(file, only, workers) -> None:
    """Every model and baseline of the Metaworld benchmark; goes on with what is missing."""
    from lwd_benchmarks.studies.matrix import Study, run_study

    run_study(
        Study.load(file or in_checkout("benchmarks/config/study/metaworld.yaml")),
        [pattern.strip() for pattern in only.split(",")],
        workers_of(workers),
    )


def _of_methods(name: str):
    """The options of a study that compares the methods with models for it in methods.yaml."""
    return lambda function: functools.reduce(
        lambda decorated, option: option(decorated),
        (
            WORKERS,
            click.option(
                "--json",
                "path",
                type=click.Path(path_type=Path),
                help=f"Write it here.  [default: {name}.json of the results; with --quick under out]",
            ),
            click.option(
                "--kept",
                type=click.Path(path_type=Path),
                help="Folder of episodes that were run before, which are not run again, and of the times that queries "
                "take.  [default: out/studies; with --quick out/quick]",
            ),
            click.option("--first-layout", type=FROM_ZERO, default=200_000, help="First layout seed."),
            click.option("--episodes", type=click.IntRange(min=1), help="Episodes a task.  [default: 20]"),
            click.option("--tasks", help="Tasks, comma-separated.  [default: mt10]"),
            click.option("--quick", is_flag=True, help="One episode of two tasks, the mildest cases: does it run?"),
            click.option(
                "--methods",
                "file",
                type=click.Path(),
                help="Methods and their model files.  [default: methods.yaml of the package]",
            ),
            click.option(
                "--only",
                help="Methods, comma-separated, that are run; the others stay as they are in the result that is there. "
                "Their model files are not needed.  [default: all]",
            ),
        ),
        function,
    )


def _compare(run, name, file, only, tasks, episodes, first_layout, kept, path, workers, quick) -> None:
    """Run a study of methods, print its rows and write it."""
    from lwd_benchmarks.methods import FILE
    from lwd_benchmarks.results import MethodsResult, write
    from lwd_benchmarks.studies.comparison import Rules, earlier_result
    from lwd_benchmarks.studies.methods import load_methods

    if quick and (tasks or episodes):
        raise click.UsageError("--quick: has tasks and episodes of its own, expected neither --tasks nor --episodes")
    chosen = ("reach-v3", "push-v3") if quick else tasks_of(tasks or "mt10")
    if path is None:
        results = Path("out") if quick else in_checkout("benchmarks/results") / "diffusion_policy"
        path = results / (f"quick_{name}.json" if quick else f"{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)  # not after an hour of work
    kept = kept or Path("out/quick" if quick else "out/studies")
    rules = Rules(chosen, 1 if quick else episodes or 20, first_layout, kept, workers_of(workers))
    methods = load_methods(name, file or FILE, [name.strip() for name in only.split(",")] if only else ())
    result = run(methods, rules, earlier=earlier_result(path) if only else None)
    shown = ("disturbance", "level", "times_slower", "meanwhile")
    for method, rows in result["methods"].items():
        for row in rows:
            labels = " ".join(str(row[key]) for key in shown if key in row)
            counts = f"{row['successes']:4}/{row['episodes']:<4} {row['success']:.3f}"
            click.echo(f"{method:20} horizon {row['horizon']:3}  {labels:32} {counts}")
    write(MethodsResult, result, path)
    click.echo(f"written to {path}")


@study.command()
@_of_methods("horizon")
@needs("sim,train")
def horizon(**options) -> None:
    """Success and cost against how many control steps pass between queries of the diffusion model."""
    from lwd_benchmarks.studies.horizon import study_horizon

    _compare(study_horizon, "horizon", **options)


@study.command()
@_of_methods("convergence")
@needs("sim,train")
def convergence(**options) -> None:
    """As horizon, of Diffusion Policies that were trained for less long or are larger."""
    from lwd_benchmarks.studies.horizon import study_horizon

    _compare(study_horizon, "convergence", **options)


@study.command()
@_of_methods("disturbance")
@needs("sim,train")
def disturbance(**options) -> None:
    """Success under noise, pushes, delays, dropped observations, other control rates."""
    from lwd_benchmarks.studies.robustness import CASES, study_disturbance

    mildest = {case.labels["disturbance"]: case for case in reversed(CASES)}
    cases = tuple(mildest.values()) if options["quick"] else CASES
    _compare(functools.partial(study_disturbance, cases=cases), "disturbance", **options)


@study.command()
@_of_methods("latency")
@needs("sim,train")
def latency(**options) -> None:
    """Success under inference times measured here, and on slower computers: the world does not wait."""
    from lwd_benchmarks.studies.robustness import SLOWER, study_latency

    slower = SLOWER[:2] if options["quick"] else SLOWER
    _compare(functools.partial(study_latency, slower=slower), "latency", **options)


@study.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    help="NAME=FILE, one of a training seed; name the option again for another seed or another name.",
)
@click.option("--every", type=COUNT, default=8, help="Control periods between requests, beside one an episode.")
@click.option("--episodes", type=COUNT, default=60, help="Episodes a task and seed.")
@click.option("--first-layout", type=FROM_ZERO, default=200_000, help="First layout seed.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    help="Write it here.  [default: benchmarks/results/asking/asking.json of the repository]",
)
@WORKERS
@needs("sim")
def asking(models, every, episodes, first_layout, path, workers) -> None:
    """Success where a policy is asked for once an episode, and again and again in mid-episode."""
    from lwd_benchmarks.studies.asking import run

    files: dict[str, list[Path]] = {}
    for word in models:
        name, equals, file = word.partition("=")
        if not (name and equals and file):
            raise click.UsageError(f"--model: found '{word}', expected NAME=FILE")
        files.setdefault(name, []).append(Path(file))
    path = path or in_checkout("benchmarks/results") / "asking/asking.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    result = run(files, (None, every), episodes, first_layout, workers_of(workers), path)
    for row in result.rows:
        asked = "once" if row.horizon is None else f"every {row.horizon} periods"
        total = row.episodes_per_task * len(row.successes)
        click.echo(f"{row.name:24} seed {row.seed}  {asked:18} {sum(row.successes.values())}/{total}")
    click.echo(f"written to {path}")


@study.command()
@click.option(
    "--model",
    "models",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Model file; name the option again for another. Rows of models that are not named stay as they are.",
)
@click.option("--tasks", default="", help="Only these second tasks.  [default: all whose reverse the model knows]")
@click.option("--pauses-s", default="0,1,3,8,10", help="Pauses before the second policy is asked for, comma-separated.")
@click.option("--episodes", type=click.IntRange(min=1), default=50, help="Episodes a row.")
@click.option("--first-layout", type=FROM_ZERO, default=200_000, help="First layout seed.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    help="Write it here.  [default: benchmarks/results/handover/handover.json of the repository]",
)
@WORKERS
@needs("sim")
def handover(models, tasks, pauses_s, episodes, first_layout, path, workers) -> None:
    """Success of a second task against how late its policy is asked for, the arm driving on or held meanwhile."""
    from lwd_benchmarks.results import HandoverResult, write
    from lwd_benchmarks.studies.handover import Rules, merged, study_handover

    try:
        pauses = tuple(sorted({float(text) for text in pauses_s.split(",")}))
    except ValueError:
        pauses = ()
    if not pauses or not 0.0 <= pauses[0] <= pauses[-1] <= 3600.0:
        raise click.UsageError(f"--pauses-s: found '{pauses_s}', expected seconds from 0 to 3600, comma-separated")
    rules = Rules(episodes, first_layout, pauses)
    path = path or in_checkout("benchmarks/results") / "handover/handover.json"
    merged(path, {}, rules)  # not after an hour of work
    path.parent.mkdir(parents=True, exist_ok=True)
    for model in models:
        result = study_handover(model, rules, workers_of(workers), tasks_of(tasks) if tasks else ())
        for row in result["rows"]:
            counts = f"{row['successes']:4}/{row['episodes']:<4} {row['success']:.3f}"
            click.echo(f"{row['task']:16} after {row['pause_s']:4g} s, {row['meanwhile']:52} {counts}")
        write(HandoverResult, merged(path, {model.stem: result}, rules), path)
    click.echo(f"written to {path}")


@study.command()
@click.option(
    "--study",
    "file",
    type=click.Path(),
    help="What to train and judge.  [default: benchmarks/config/study/peers.yaml of the repository]",
)
@click.option(
    "--data", type=click.Path(path_type=Path), default="data/metaworld_mt10", help="Dataset of the set's tasks."
)
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    default=".venv-lerobot/bin/python",
    help="Of lerobot's environment, as 'make test-lerobot' makes it.",
)
@click.option("--state", type=click.Path(path_type=Path), default="out/peers", help="Folder of runs to go on with.")
@click.option("--only", default="", help="Entries, comma-separated.  [default: all]")
@click.option("--minutes", type=click.FloatRange(min=0), default=1e9, help="At most so many of training an entry.")
@click.option("--report/--no-report", default=True, help="Judge the best points on reporting layouts as well.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    help="Write it here.  [default: benchmarks/results/peers/SET.json of the repository]",
)
@needs("sim,train")
def peers(file, data, python, state, only, minutes, report, path) -> None:
    """LWD beside ACT and Diffusion Policy as lerobot trains them: success by minutes; goes on with what is missing."""
    from lwd_benchmarks.peers.study import Study, run

    if not python.exists():
        raise click.UsageError(f"--python: found no {python}, expected lerobot's environment: 'make test-lerobot'")
    loaded = Study.load(file or in_checkout("benchmarks/config/study/peers.yaml"))
    path = path or in_checkout("benchmarks/results") / f"peers/{loaded.set}.json"
    names = [name.strip() for name in only.split(",") if name.strip()]
    # Another process starts in another folder, and its Python is found by its own path: links are kept.
    run(loaded, data, state.resolve(), python.absolute(), path, names, minutes, report)
    click.echo(f"written to {path}")


@study.command()
@click.option(
    "--study",
    "file",
    type=click.Path(),
    help="What to train and judge; paths of folders in it are relative to the current folder.  "
    "[default: benchmarks/config/study/ways.yaml of the repository]",
)
@click.option("--only", default="*", help="SET or SET/ROW, comma-separated; * and ? stand for any letters.")
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the results, one file a set.  [default: benchmarks/results/ways of the repository]",
)
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes that collect and judge.")
@needs("sim,train")
def ways(file, only, results, workers) -> None:
    """Tasks with many ways: success, and how well LWD and others cover the ways; goes on with what is missing."""
    from lwd_benchmarks.paths import in_checkout
    from lwd_benchmarks.ways.config import Ways
    from lwd_benchmarks.ways.study import WaysStudy

    loaded = Ways.load(file or in_checkout("benchmarks/config/study/ways.yaml"))
    folder = results or in_checkout("benchmarks/results") / "ways"
    patterns = [pattern.strip() for pattern in only.split(",") if pattern.strip()]
    for path in WaysStudy(loaded, folder, workers).run(patterns):
        click.echo(f"written to {path}")


@study.command()
@click.argument("example", type=click.Choice(["base", "arm"]))
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default="out/own",
    help="Folder of all that is made on the way; what is there is not made again.",
)
@click.option("--demonstrations", default="20,50", help="A task, comma-separated; with 20 the way is timed.")
@click.option("--seeds", default="0,1,2", help="Of training, comma-separated.")
@click.option("--methods", default="lwd,task_mlp", help="Comma-separated.")
@click.option("--episodes", type=click.IntRange(min=1), default=100, help="Episodes a task.")
@click.option("--first-layout", type=FROM_ZERO, default=200_000, help="First layout seed.")
@click.option("--minutes", type=click.FloatRange(min=0.1), help="Of training.  [default: that of 'lwd train']")
@click.option("--timed-only", is_flag=True, help="Record, and time the way to the first command; nothing else.")
@click.option("--nodes/--no-nodes", default=True, help="Judge some layouts through the nodes as well; needs ROS 2.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    help="Write it here.  [default: benchmarks/results/own/EXAMPLE.json of the repository]",
)
@WORKERS
@needs("sim,train")
def own(
    example, state, demonstrations, seeds, methods, episodes, first_layout, minutes, timed_only, nodes, path, workers
) -> None:
    """A robot of one's own, from demonstrations to success: the examples 'base' (bags) and 'arm' (LeRobot).

    Needs what the example's README installs.
    """
    from lwd_benchmarks.own.roads import ROADS
    from lwd_benchmarks.own.study import OwnStudy, Rules

    try:
        counts, numbers = (tuple(int(word) for word in text.split(",")) for text in (demonstrations, seeds))
    except ValueError:
        raise click.UsageError("--demonstrations, --seeds: expected whole numbers, comma-separated") from None
    try:
        road = ROADS[example]()
    except ModuleNotFoundError as error:
        folder = {"base": "examples/mobile_base", "arm": "examples/so101"}[example]
        raise click.UsageError(f"needs the package '{error.name}': pip install ./{folder}") from error
    rules = Rules(state, counts, numbers, episodes, first_layout, workers_of(workers), minutes)
    study_ = OwnStudy(road, rules)
    if timed_only:
        timed = study_.timed()
        click.echo(f"{timed['minutes']:.1f} minutes from the last demonstration to the first command")
        return
    path = path or in_checkout("benchmarks/results") / f"own/{example}.json"
    result = study_.result(path, [name.strip() for name in methods.split(",")], nodes)
    for entry in result["entries"]:
        pooled = entry["pooled"]
        label = f"{entry['method']:9} {entry['demonstrations']:3} demonstrations"
        low, high = pooled["interval"]
        click.echo(
            f"{label}  {pooled['successes']}/{pooled['episodes']} {pooled['success']:.3f} [{low:.3f}, {high:.3f}]"
        )
    click.echo(f"written to {path}")


@study.command()
@click.argument("robot")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Dataset of the robot's tasks.")
@click.option(
    "--study",
    "file",
    type=click.Path(),
    help="What is tried.  [default: benchmarks/config/study/choices.yaml of the repository]",
)
@click.option("--state", type=click.Path(path_type=Path), default="out/choices", help="Folder of runs.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    help="Write it here.  [default: benchmarks/results/choices/ROBOT.json of the repository]",
)
@WORKERS
@needs("sim,train")
def choices(robot, data, file, state, path, workers) -> None:
    """What 'lwd train' chooses without a config beside other choices, on ROBOT of the study's file."""
    from lwd_benchmarks.own.choices import Choices, run

    loaded = Choices.load(file or in_checkout("benchmarks/config/study/choices.yaml"))
    path = path or in_checkout("benchmarks/results") / f"choices/{robot}.json"
    run(loaded, robot, data, state.resolve(), path, workers_of(workers))
    click.echo(f"written to {path}")


study.add_command(gaits)
study.add_command(teachers)
