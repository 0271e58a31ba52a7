"""The `lwd` command. Heavy imports happen inside the commands, so that `lwd --help` is quick and needs no extras."""

import functools
import json
import os
import sys
from pathlib import Path

import click

from lwd_ros import __version__
from lwd_ros.contract import Contract
from lwd_ros.resources import share_path

_FROM_ROS = ("rclpy", "lwd_msgs")
_APART = {"distributed": "pip install 'lwd_ros[cluster]'", "ray": "pip install ray"}  # for one backend alone


def _needs(extra: str = ""):
    """Say in one sentence how to get a third-party package that the command lacks: all it needs is in `extra`."""

    def decorate(function):
        @functools.wraps(function)
        def command(**arguments):
            try:
                return function(**arguments)
            except ModuleNotFoundError as error:
                package = (error.name or "").partition(".")[0]
                if package in ("", "lwd_ros", *sys.stdlib_module_names):
                    raise
                hint = f"pip install 'lwd_ros[{extra}]'" if extra else "pip install lwd_ros"
                hint = _APART.get(package, hint)
                if package in _FROM_ROS:
                    hint = "source a ROS 2 workspace that has it, or run 'make setup' in the repository"
                raise click.UsageError(f"'lwd {_command()}' needs the package '{package}': {hint}") from error

        return command

    return decorate


def _command() -> str:
    """What the user typed after `lwd`, without options."""
    context, names = click.get_current_context(), []
    while context.parent:
        names.insert(0, context.info_name)
        context = context.parent
    return " ".join(names)


def _tasks(names: str, repeats: bool = False) -> tuple[str, ...]:
    """The tasks that a user listed: at least one, none twice unless `repeats`."""
    from lwd_ros.sim.tasks import MT10, MT50

    sets = {"mt10": MT10, "mt50": MT50}
    if names.lower() in sets:
        return sets[names.lower()]
    tasks = tuple(name.strip() for name in names.split(",") if name.strip())
    if not tasks:
        raise click.UsageError("--tasks: found no task, expected names separated by commas")
    twice = [task for place, task in enumerate(tasks) if task in tasks[:place]]
    if twice and not repeats:
        raise click.UsageError(f"--tasks: found '{twice[0]}' twice, expected every task once")
    return tasks


def _workers(count: int) -> int:
    return count or os.cpu_count() or 1


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
def cli() -> None:
    """Latent Weight Diffusion: demonstrations to models, models to policies."""
    # One thread a process: small operations are many times slower on several, and processes run in parallel.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


_COUNT, _FROM_ZERO = click.IntRange(min=1), click.IntRange(min=0)
_WORKERS = click.option("--workers", type=_FROM_ZERO, default=0, help="Parallel processes; 0: one per core.")
_CONTRACT = click.option("--contract", type=click.Path(), help="Contract file; default: the shipped metaworld.yaml.")


@cli.command()
@click.option("--tasks", default="mt10", help="Metaworld tasks, comma-separated, or mt10, mt50.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the dataset.")
@click.option(
    "--episodes",
    type=_COUNT,
    default=200,
    help="Fresh starts a task; tasks with a reverse get as many chained starts.",
)
@click.option(
    "--noise",
    type=click.FloatRange(min=0),
    nargs=2,
    default=(0.0, 0.3),
    help="Range of the execution noise's standard deviation, drawn per demonstration, in action units of ±1.",
)
@click.option(
    "--first-layout",
    type=_FROM_ZERO,
    default=0,
    help="Seed of the first layout; demonstrations use 0 to 99,999.",
)
@click.option("--seed", type=_FROM_ZERO, default=0, help="Seed of the noise.")
@_CONTRACT
@_WORKERS
@_needs("sim")
def collect(tasks, out, episodes, noise, first_layout, seed, contract, workers) -> None:
    """Collect demonstrations of Metaworld's scripted experts; continues a run that was stopped."""
    from lwd_ros.sim.collect import CollectSettings, collect

    settings = CollectSettings(episodes=episodes, noise=noise, first_layout=first_layout, seed=seed)
    loaded = Contract.load(contract or share_path("config", "metaworld.yaml"))
    meta = collect(out, _tasks(tasks), loaded, settings, _workers(workers))
    frames = sum(count["frames"] for count in meta["counts"].values())
    episodes = sum(count["episodes"] for count in meta["counts"].values())
    click.echo(f"{episodes} demonstrations, {frames} frames, digest {meta['digest']} in {out}")


@cli.command()
@click.option("--config", type=click.Path(), required=True, help="Training config, e.g. config/train/NAME.yaml.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Dataset made by 'lwd collect'.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder.")
@click.option("--seed", type=_FROM_ZERO, help="Overrides the config's seed.")
@_needs("train")
def train(config, data, out, seed) -> None:
    """Train encoder and hypernetwork, then the latent diffusion; continues a run that was stopped."""
    from dataclasses import replace

    from lwd_ros.dataset import Demonstrations
    from lwd_ros.learning.config import TrainConfig
    from lwd_ros.learning.train import train

    loaded = TrainConfig.load(config)
    if seed is not None:
        loaded = replace(loaded, seed=seed)
    run = train(loaded, Demonstrations(data), out)
    click.echo(f"trained '{loaded.name}' (seed {loaded.seed}, {run.autoencoder.layout.parameters} parameters) in {out}")


@cli.command()
@click.option("--run", "folder", type=click.Path(path_type=Path), required=True, help="Run folder of 'lwd train'.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Model file (.onnx).")
@_needs("train")
def export(folder, out) -> None:
    """Write a finished run as one self-describing ONNX file."""
    from lwd_ros.generator import PolicyGenerator
    from lwd_ros.learning.export import export
    from lwd_ros.learning.train import load

    out.parent.mkdir(parents=True, exist_ok=True)
    export(load(folder), out)
    generator = PolicyGenerator(out)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {len(generator.tasks)} tasks, sha256 {generator.digest}")


@cli.command()
@click.option(
    "--method",
    required=True,
    help="Trained: multitask_mlp, task_mlp, regression_hypernetwork. Made from a run: nearest_latent, mean_latent.",
)
@click.option("--config", type=click.Path(), help="To train: config, as for 'lwd train'.")
@click.option("--data", type=click.Path(path_type=Path), help="To train: dataset made by 'lwd collect'.")
@click.option("--out", type=click.Path(path_type=Path), help="To train: run folder.")
@click.option("--seed", type=_FROM_ZERO, help="To train: overrides the config's seed.")
@click.option("--run", "folder", type=click.Path(path_type=Path), help="Else: finished run folder of 'lwd train'.")
@click.option("--model", type=click.Path(path_type=Path), required=True, help="Model file (.onnx) to write.")
@_needs("train")
def baseline(method, config, data, out, seed, folder, model) -> None:
    """Make a method to compare with: train it as 'lwd train' would, or derive it from a finished run."""
    from lwd_ros.dataset import Demonstrations
    from lwd_ros.evaluation.baselines import METHODS, TRAINED, latent_baseline, train_baseline
    from lwd_ros.generator import PolicyGenerator
    from lwd_ros.learning.config import TrainConfig
    from lwd_ros.learning.train import load

    if method not in METHODS:
        raise click.UsageError(f"--method: found '{method}', expected one of {', '.join(METHODS)}")
    needed, optional = (("--config", "--data", "--out"), {"--seed"}) if method in TRAINED else (("--run",), set())
    options = {"--config": config, "--data": data, "--out": out, "--seed": seed, "--run": folder}
    given = [name for name, value in options.items() if value is not None]
    if set(given) - optional != set(needed):
        found = ", ".join(given) or "none of them"
        raise click.UsageError(f"--method {method}: found {found}, expected {', '.join((*needed, *optional))}")
    if method in TRAINED:
        loaded = TrainConfig.load(config)
        loaded = loaded if seed is None else loaded.changed({"seed": seed})
        train_baseline(method, loaded, Demonstrations(data), out, model)
    else:
        latent_baseline(method, load(folder), model)
    generator = PolicyGenerator(model)
    click.echo(f"{model}: {method}, {generator.description.policy_parameters} parameters, sha256 {generator.digest}")


@cli.command()
@click.option("--model", type=click.Path(path_type=Path), help="Model file.")
@click.option("--expert", is_flag=True, help="Instead of a model: the scripted experts, undisturbed.")
@click.option("--tasks", default="all", help="Tasks, comma-separated; all: every task of the model; mt10, mt50.")
@click.option("--chain", is_flag=True, help="Run the tasks one after another in one scene, without a reset.")
@click.option("--episodes", type=_COUNT, default=50, help="Episodes a task.")
@click.option(
    "--first-layout",
    type=_FROM_ZERO,
    default=200_000,
    help="First layout seed: 100,000 up validate, 200,000 up report.",
)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the result here.")
@_WORKERS
@click.option(
    "--backend",
    type=click.Choice(("loky", "multiprocessing", "threading", "dask", "ray")),
    default="loky",
    help="Of joblib; dask and ray start a cluster on this machine unless --scheduler names one.",
)
@click.option("--scheduler", default="", help="Address of a Dask scheduler or a Ray head that runs already.")
@_needs("sim")
def evaluate(model, expert, tasks, chain, episodes, first_layout, path, workers, backend, scheduler) -> None:
    """Success per task on unseen layouts, one generated policy per episode."""
    from lwd_ros.evaluation.chains import evaluate_chain
    from lwd_ros.evaluation.evaluate import evaluate, write_json
    from lwd_ros.evaluation.expert import evaluate_expert
    from lwd_ros.evaluation.parallel import backend as running_on
    from lwd_ros.generator import PolicyGenerator

    if expert and (model or chain or tasks == "all"):
        raise click.UsageError("--expert: expected --tasks with names, mt10 or mt50, and neither --model nor --chain")
    if not expert and not model:
        raise click.UsageError("found neither --model nor --expert, expected one of them")
    names = PolicyGenerator(model).tasks if tasks == "all" else _tasks(tasks, repeats=chain)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)  # not after an hour of work
    run = evaluate_expert if expert else functools.partial(evaluate_chain if chain else evaluate, model)
    with running_on(backend, _workers(workers), scheduler):
        result = run(names, episodes, first_layout, workers or -1 if scheduler else _workers(workers))
    rows = [(link["task"], link) for link in result["links"]] if chain else list(result["tasks"].items())
    for task, row in rows:
        low, high = row["interval"]
        click.echo(f"{task:26} {row['successes']:4}/{row['episodes']:<4} {row['success']:.3f}  [{low:.3f}, {high:.3f}]")
    if expert:
        click.echo(f"mean {result['mean_success']:.4f}; {result['method']}")
    elif not chain:
        click.echo(
            f"mean {result['mean_success']:.4f}; {result['policy_parameters']} parameters, "
            f"{result['flops_per_step']} FLOPs a step, generated in {result['generation_ms']:.2f} ms"
        )
    if path:
        write_json(result, path)
        click.echo(f"written to {path}")


@cli.command()
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("bench/results/metaworld"),
    help="Folder of a study's results.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/benchmarks"), help="Folder of the document.")
@click.option(
    "--template",
    type=click.Path(path_type=Path),
    default=Path("docs/benchmarks/metaworld.template.md"),
    help="Its prose, with markers; metaworld_failures.md stands beside it.",
)
@_needs("demo")
def report(results, out, template) -> None:
    """Write the benchmark document and its plots from results; the same results give the same bytes."""
    from lwd_ros.evaluation.report.document import make_report

    click.echo(f"written to {make_report(results, out, template)}")


@cli.group()
def study() -> None:
    """Studies behind the documented figures; each writes JSON."""


def _of_a_run(episodes: int, first_layout: int):
    """The options of a study of one run folder."""
    return lambda function: functools.reduce(
        lambda decorated, option: option(decorated),
        (
            _WORKERS,
            click.option("--json", "path", type=click.Path(path_type=Path), required=True, help="Write it here."),
            click.option("--first-layout", type=_FROM_ZERO, default=first_layout, help="First layout seed."),
            click.option("--episodes", type=click.IntRange(min=4), default=episodes, help="Demonstrations a task."),
            click.option("--tasks", default="all", help="Tasks, comma-separated; all: every task of the run."),
            click.option("--run", "folder", type=click.Path(path_type=Path), required=True, help="Run of 'lwd train'."),
        ),
        function,
    )


@study.command()
@_of_a_run(episodes=20, first_layout=300_000)
@_needs("sim,train")
def reconstruction(folder, tasks, episodes, first_layout, path, workers) -> None:
    """Policies decoded from held-out demonstrations against the experts that made these."""
    from lwd_ros.evaluation.evaluate import write_json
    from lwd_ros.evaluation.reconstruction import study_reconstruction

    names = () if tasks == "all" else _tasks(tasks)
    result = study_reconstruction(folder, names, episodes, first_layout, _workers(workers))
    write_json(result, path)
    for name, value in result["mean"].items():
        click.echo(f"{name:32} {value:8.3f}")
    click.echo(f"written to {path}")


@study.command()
@_of_a_run(episodes=40, first_layout=100_000)
@_needs("sim,train")
def latents(folder, tasks, episodes, first_layout, path, workers) -> None:
    """A picture of the latent space, and how different the policies are that it gives for one task."""
    from lwd_ros.evaluation.evaluate import write_json
    from lwd_ros.evaluation.latents import study_latents

    names = () if tasks == "all" else _tasks(tasks)
    result = study_latents(folder, names, episodes, first_layout, _workers(workers))
    write_json(result, path)
    for task, sets in result["diversity"].items():
        shares = "  ".join(f"{name} {entry['action_disagreement']:.3f}" for name, entry in sets.items())
        click.echo(f"{task:26} action disagreement: {shares}")
    click.echo(f"written to {path}")


@cli.command()
@click.option("--model", type=click.Path(path_type=Path), required=True, help="Model file.")
@_needs()
def describe(model) -> None:
    """Print what a model file says about itself, as JSON."""
    from lwd_ros.generator import PolicyGenerator
    from lwd_ros.generator.model_file import METADATA_KEY

    generator = PolicyGenerator(model)
    content = json.loads(generator.description.to_metadata()[METADATA_KEY])
    click.echo(json.dumps({"sha256": generator.digest, **content}, indent=1))


@cli.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/demo"),
    help="Folder; results of an earlier run there are replaced.",
)
@click.option("--layout", type=_FROM_ZERO, default=0, help="Seed of the start layout; 0 draws one.")
@click.option("--model", default="", help="Model file; default: the shipped MT10 model.")
@click.option("--video/--no-video", default=True, help="Draw demo.mp4 where the machine can.")
@_needs("demo")
def demo(out, layout, model, video) -> None:
    """Open a drawer, close it and open it again: three policies generated and swapped in a running simulation."""
    from lwd_ros.demo.story import run_demo

    sys.exit(run_demo(out, layout, model, video))


def main() -> None:
    """Entry point: errors that a user can mend end in one sentence and status 2, not in a traceback."""
    try:
        sys.exit(cli(standalone_mode=False))
    except click.Abort:
        click.echo("lwd: stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        sentence = error.format_message()
        is_help = "\n" in sentence  # of 'lwd' without a command
        click.echo(sentence if is_help else f"lwd: {sentence}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        click.echo(f"lwd: {error.filename}: {error.strerror}" if error.filename else f"lwd: {error}", err=True)
        sys.exit(2)
    except ValueError as error:
        # ValueError is the base of our own error classes; anything else among them is a bug worth its traceback.
        if not type(error).__module__.startswith("lwd_ros"):
            raise
        click.echo(f"lwd: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
