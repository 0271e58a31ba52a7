"""The commands of `lwd` that make and use models, and the entry point."""

import functools
import json
import os
import sys
from pathlib import Path

import click

from lwd_ros import __version__
from lwd_ros.cli.bags import import_bag
from lwd_ros.cli.contracts import contract
from lwd_ros.cli.data import data
from lwd_ros.cli.lerobot import export_lerobot, import_lerobot
from lwd_ros.cli.plugins import WithPlugins
from lwd_ros.cli.record import record
from lwd_ros.cli.support import CONTRACT, COUNT, ENVIRONMENT, FROM_ZERO, WORKERS, chosen, needing, needs, workers_of
from lwd_ros.cli.training import export, train, validate
from lwd_ros.contract import Contract
from lwd_ros.demo.command import demo
from lwd_ros.errors import LwdError


@click.group(cls=WithPlugins, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
def cli() -> None:
    """Latent Weight Diffusion: demonstrations to models, models to policies."""
    # One thread a process: small operations are many times slower on several, and processes run in parallel.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


cli.add_command(contract)
cli.add_command(record)
cli.add_command(import_bag)
cli.add_command(needing(demo, "demo"))
cli.add_command(data)
cli.add_command(import_lerobot)
cli.add_command(export_lerobot)
cli.add_command(train)
cli.add_command(validate)
cli.add_command(export)

_OWN = "own"  # what '--expert' without a value stands for


@cli.command()
@click.option("--tasks", help="ENV/SET, ENV/all, or tasks, comma-separated.  [default: all of --environment]")
@ENVIRONMENT
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the dataset.")
@click.option(
    "--expert",
    metavar="MODULE:FUNCTION",
    help="Instead of the environment's experts: a function of an observation that gives a command, or, where its "
    "argument is called 'environment', of one that gives an expert. All starts are fresh then.",
)
@click.option(
    "--experts",
    metavar="all|WAY,...",
    help="Where a task is done in several ways: those to demonstrate. Each demonstration states its way.",
)
@click.option(
    "--frequencies",
    metavar="NUMBER,...|WAY=NUMBER,...",
    help="With --experts: how often each, against the others; those that are not named count 1.  [default: all alike]",
)
@click.option(
    "--episodes",
    type=COUNT,
    default=200,
    help="Fresh starts a task; tasks with a reverse get as many chained starts.",
)
@click.option(
    "--noise",
    type=click.FloatRange(min=0),
    nargs=2,
    default=(0.0, 0.3),
    help="Range of the execution noise's standard deviation, drawn per demonstration, in shares of half a command's "
    "range.",
)
@click.option(
    "--first-layout",
    type=FROM_ZERO,
    default=0,
    help="Seed of the first layout; demonstrations use 0 to 99,999.",
)
@click.option("--seed", type=FROM_ZERO, default=0, help="Seed of the noise.")
@click.option(
    "--anywhere",
    type=FROM_ZERO,
    default=0,
    help="Further starts a task with a reverse, from wherever the task before, a hold or a wandering left the robot.",
)
@click.option(
    "--drift-steps",
    type=FROM_ZERO,
    default=800,
    help="With --anywhere: the task before drives on for up to so many control steps.",
)
@CONTRACT
@WORKERS
@needs("sim")
def collect(
    tasks, environment, out, expert, experts, frequencies, episodes, noise, first_layout, seed, anywhere, drift_steps,
    contract, workers,
) -> None:  # fmt: skip
    """Collect demonstrations of experts; continues a run that was stopped."""
    from lwd_ros.environments.collect import CollectSettings, collect
    from lwd_ros.environments.ways import parsed

    if expert and anywhere:
        raise click.UsageError("--anywhere: found with --expert, expected the environment's own experts")
    if expert and experts is not None:
        raise click.UsageError("--experts: found with --expert, expected one of them")
    if frequencies is not None and experts is None:
        raise click.UsageError("--frequencies: found no --experts to count, expected it beside them")
    ways, shares = ((), ()) if experts is None else parsed(experts, frequencies)
    if tasks is None and not environment:
        raise click.UsageError("--tasks: found nothing, expected ENV/SET or ENV/all of what 'lwd environments' lists")
    settings = CollectSettings(
        episodes=episodes,
        noise=noise,
        first_layout=first_layout,
        seed=seed,
        anywhere=anywhere,
        drift_steps=drift_steps,
        experts=ways,
        frequencies=shares,
    )
    simulator, names = chosen("all" if tasks is None else tasks, environment)
    loaded = Contract.load(contract) if contract else simulator.spec.contract()
    meta = collect(out, names, loaded, settings, workers_of(workers), simulator, expert)
    frames = sum(count["frames"] for count in meta["counts"].values())
    episodes = sum(count["episodes"] for count in meta["counts"].values())
    failed = sum(count.get("failed", 0) for count in meta["counts"].values())
    dropped = f" ({failed} failed and were dropped)" if failed else ""
    click.echo(f"{episodes} demonstrations{dropped}, {frames} frames, digest {meta['digest']} in {out}")
    for task, count in meta["counts"].items():
        if "ways" in count:
            click.echo(f"ways of {task}: {', '.join(f'{way} {number}' for way, number in count['ways'].items())}")


@cli.command()
@click.option("--model", type=click.Path(path_type=Path), help="Model file.")
@click.option(
    "--expert",
    is_flag=False,
    flag_value=_OWN,
    metavar="[MODULE:FUNCTION]",
    help="Instead of a model: the environment's experts, undisturbed, or a function as for 'lwd collect'.",
)
@click.option("--tasks", default="all", help="ENV/SET, or tasks, comma-separated; all: every task of the model.")
@ENVIRONMENT
@click.option("--chain", is_flag=True, help="Run the tasks one after another in one scene, without a reset.")
@click.option(
    "--drift-s",
    type=click.FloatRange(min=0),
    help="With --chain: each policy but the first is asked for so many seconds after its task began; meanwhile the one "
    "before drives on, on the new task's goal.  [default: at once]",
)
@click.option("--hold", is_flag=True, help="With --drift-s: meanwhile the arm stands still instead.")
@click.option("--episodes", type=COUNT, default=50, help="Episodes a task.")
@click.option(
    "--first-layout",
    type=FROM_ZERO,
    help="First layout seed: 100,000 up validate, 200,000 up report.  [default: 100,000]",
)
@click.option("--reporting", is_flag=True, help="Layouts of reported figures: those from 200,000 on.")
@click.option(
    "--ways",
    is_flag=True,
    help="Where a task is done in several ways: also how often each was taken, and whether each policy goes one.",
)
@click.option(
    "--demonstrations",
    type=click.Path(path_type=Path),
    help="With --ways: the dataset whose frequencies they are compared with.  [default: all ways alike]",
)
@click.option(
    "--sampling-steps",
    type=COUNT,
    help="Of each policy's latent: more are slower and more exact.  [default: as the model file says]",
)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the result here.")
@WORKERS
@click.option(
    "--backend",
    type=click.Choice(("loky", "multiprocessing", "threading", "dask", "ray")),
    default="loky",
    help="Of joblib; dask and ray start a cluster on this machine unless --scheduler names one.",
)
@click.option(
    "--scheduler", default="", show_default=False, help="Address of a Dask scheduler or a Ray head that runs already."
)
@needs("sim")
def evaluate(
    model, expert, tasks, environment, chain, drift_s, hold, episodes, first_layout, reporting, ways, demonstrations,
    sampling_steps, path, workers, backend, scheduler,
) -> None:  # fmt: skip
    """Success or return per task on unseen layouts, one generated policy per episode."""
    from lwd_ros.environments.layouts import REPORTING_LAYOUTS, VALIDATION_LAYOUTS
    from lwd_ros.environments.registry import simulator_of
    from lwd_ros.evaluation.chains import Pause, evaluate_chain
    from lwd_ros.evaluation.evaluate import evaluate, write_json
    from lwd_ros.evaluation.expert import evaluate_expert
    from lwd_ros.evaluation.parallel import backend as running_on
    from lwd_ros.generator import PolicyGenerator

    if expert and (model or chain or (tasks == "all" and not environment)):
        raise click.UsageError("--expert: expected --tasks or --environment, and neither --model nor --chain")
    if not expert and not model:
        raise click.UsageError("found neither --model nor --expert, expected one of them")
    if drift_s is not None and not chain:
        raise click.UsageError("--drift-s: is a pause between tasks, expected --chain with it")
    if hold and drift_s is None:
        raise click.UsageError("--hold: found no pause to hold the arm in, expected --drift-s with it")
    if ways and (expert or chain):
        raise click.UsageError("--ways: found --expert or --chain beside it, expected a model on single tasks")
    if sampling_steps is not None and (expert or chain):
        raise click.UsageError(
            "--sampling-steps: found --expert or --chain beside it, expected a model on single tasks"
        )
    if demonstrations is not None and not ways:
        raise click.UsageError("--demonstrations: found nothing to compare them with, expected --ways with it")
    if reporting and first_layout is not None:
        raise click.UsageError("--reporting: found --first-layout beside it, expected one of them")
    if first_layout is None:
        first_layout = (REPORTING_LAYOUTS if reporting else VALIDATION_LAYOUTS).start
    if model and tasks == "all":
        names = PolicyGenerator(model).tasks
        simulator = simulator_of(names, environment)
    else:
        simulator, names = chosen(tasks, environment, repeats=chain)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)  # not after an hour of work
    if expert:
        run = functools.partial(evaluate_expert, expert=None if expert == _OWN else expert)
    elif chain:
        pause = None if drift_s is None else Pause(drift_s, hold)
        run = functools.partial(evaluate_chain, model, pause=pause)
    elif ways:
        from lwd_ros.dataset import Demonstrations
        from lwd_ros.evaluation.way_runs import evaluate_ways

        dataset = None if demonstrations is None else Demonstrations(demonstrations)
        run = functools.partial(evaluate_ways, model, demonstrations=dataset, sampling_steps=sampling_steps or 0)
    else:
        run = functools.partial(evaluate, model, sampling_steps=sampling_steps or 0)
    with running_on(backend, workers_of(workers), scheduler):
        processes = workers or -1 if scheduler else workers_of(workers)
        result = run(names, episodes, first_layout, processes, environment=simulator)
    _print(result)
    if path:
        write_json(result, path)
        click.echo(f"written to {path}")


def _print(result: dict) -> None:
    """A row for each task or link, and the mean of tasks."""
    rows = [(link["task"], link) for link in result["links"]] if "links" in result else list(result["tasks"].items())
    for task, row in rows:
        low, high = row["interval"]
        if "return" in row:
            click.echo(f"{task:26} {row['episodes']:4} returns {row['return']:.4g}  [{low:.4g}, {high:.4g}]")
            continue
        click.echo(f"{task:26} {row['successes']:4}/{row['episodes']:<4} {row['success']:.3f}  [{low:.3f}, {high:.3f}]")
        if "ways" in row:
            _print_ways(row["ways"])
    if "links" in result:
        return
    mean = f"{result['mean_return']:.6g}" if "mean_return" in result else f"{result['mean_success']:.4f}"
    if result["model"] is None:
        click.echo(f"mean {mean}; {result['method']}")
        return
    click.echo(
        f"mean {mean}; {result['policy_parameters']} parameters, {result['flops_per_step']} FLOPs a step, "
        f"generated in {result['generation_ms']:.2f} ms"
    )


def _print_ways(row: dict) -> None:
    """The measures of one task's ways, a line each."""
    if row["counts"]:
        for name, key, floor in (("entropy", "entropy", "entropy"), ("JS distance", "js_distance", "js")):
            low, high = row[f"{floor}_interval"]
            click.echo(f"  {name:24} {row[key]:.3f}  [{low:.3f}, {high:.3f}]; a perfect sampler "
                       f"{row[f'{floor}_expected']:.3f}")  # fmt: skip
        click.echo(f"  {'coverage':24} {row['coverage']:.3f}; a perfect sampler {row['coverage_expected']:.3f}")
    held = row["commitment"]
    if held["committed"] is not None:
        low, high = held["interval"]
        click.echo(f"  {'commitment':24} {held['committed']:.3f}  [{low:.3f}, {high:.3f}] of {held['policies']} "
                   f"policies; {held['success']:.3f} of their runs succeed")  # fmt: skip


@cli.command()
@ENVIRONMENT
@needs("sim")
def environments(environment) -> None:
    """List the environments that are registered, or check one: tasks, sets of tasks, scores and capabilities."""
    from lwd_ros.environments.environment import CAPABILITIES
    from lwd_ros.environments.registry import names, simulator
    from lwd_ros.environments.ways import ways_of

    for name in [environment] if environment else names():
        try:
            found = simulator(name)
            built = found.make(found.spec.tasks[0], found.spec.contract())
        except (LwdError, ModuleNotFoundError) as error:
            if environment:
                raise
            reason = str(error)
            if isinstance(error, ModuleNotFoundError):
                reason = f"needs the package '{error.name}': pip install 'lwd_ros[sim]'"
            click.echo(f"{name}: cannot be used: {reason}")
            continue
        spec = found.spec
        has = [capability for capability, kind in CAPABILITIES.items() if isinstance(built, kind)]
        ways = ways_of(built)
        built.close()
        click.echo(f"{name}: {1 / spec.period_s:g} Hz, {spec.episode_steps} steps an episode")
        click.echo(f"  score         {spec.score}")
        click.echo(f"  capabilities  {', '.join(has) or 'none'}")
        if ways:
            more = f", and {len(ways) - 3} more" if len(ways) > 3 else ""
            click.echo(f"  ways          of {spec.tasks[0]}: {', '.join(ways[:3])}{more}")
        for title, tasks in {**spec.task_sets, "all": spec.tasks}.items():
            shown = f"{', '.join(tasks[:3])}, and {len(tasks) - 3} more" if len(tasks) > 3 else ", ".join(tasks)
            click.echo(f"  {f'{name}/{title}':32}  {shown}")


@cli.command()
@click.option("--model", type=click.Path(path_type=Path), help="Model file.")
@click.option("--run", "folder", type=click.Path(path_type=Path), help="Run folder of 'lwd train' or 'lwd baseline'.")
@needs()
def describe(model, folder) -> None:
    """Print what a model file or a run folder is, as JSON."""
    if (model is None) == (folder is None):
        raise click.UsageError("expected either --model or --run")
    if folder is not None:
        click.echo(json.dumps(_run_described(folder=folder), indent=1))
        return
    from lwd_ros.generator import PolicyGenerator, open_session
    from lwd_ros.generator.model_file import content_of

    session, digest = open_session(model)
    metadata = session.get_modelmeta().custom_metadata_map
    others = [key for key in metadata if key.startswith("lwd_ros_")]  # of a method with a model file of its own kind
    content = content_of(metadata, str(model), others[0]) if others else PolicyGenerator(model).metadata
    click.echo(json.dumps({"sha256": digest, **content}, indent=1))


@needs("train")
def _run_described(folder: Path) -> dict:
    from lwd_ros.learning.run_folder import describe_run

    return describe_run(folder)


def main() -> None:
    """Entry point: what a user can mend ends in one sentence and status 1, wrong usage in 2, Ctrl-C in 130."""
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
        sys.exit(1)
    except LwdError as error:
        click.echo(f"lwd: {error}", err=True)
        sys.exit(1)
