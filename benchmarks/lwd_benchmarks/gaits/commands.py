"""`lwd study gaits` and `lwd study teachers`."""

from pathlib import Path

import click

from lwd_ros.cli.support import WORKERS, needs, workers_of

ROBOTS = click.Choice(["cheetah", "quadruped"])


@click.command()
@click.argument("robot", type=ROBOTS)
@click.option(
    "--study",
    "file",
    type=click.Path(),
    help="Demonstrations, training, episodes.  [default: benchmarks/config/study/gaits.yaml of the repository]",
)
@click.option("--state", type=click.Path(path_type=Path), default="out/gaits", help="Folder of data, runs, episodes.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    help="Write it here.  [default: benchmarks/results/gaits/ROBOT.json of the repository]",
)
@WORKERS
@needs("sim,train")
def gaits(robot, file, state, path, workers) -> None:
    """All gaits of ROBOT by one model, beside their teachers: return, foot contacts, survival."""
    from lwd_benchmarks.gaits.study import Gaits, GaitsStudy
    from lwd_benchmarks.paths import in_checkout

    loaded = Gaits.load(file or in_checkout("benchmarks/config/study/gaits.yaml"))
    path = path or in_checkout("benchmarks/results") / f"gaits/{robot}.json"
    GaitsStudy(loaded, robot, state.resolve(), workers_of(workers)).result(path)
    click.echo(f"written to {path}")


@click.command()
@click.argument("robot", type=ROBOTS)
@click.option("--tasks", default="", help="These gaits only, comma-separated.  [default: all of the robot]")
@click.option("--evaluations", type=click.IntRange(min=12), default=252, help="Of each gait.")
@click.option(
    "--steps", type=click.IntRange(min=50), default=300, help="Control steps of a walk; an evaluation is two."
)
@click.option("--seed", type=click.IntRange(min=1), default=1, help="Of the search.")
@click.option(
    "--out",
    "path",
    type=click.Path(path_type=Path),
    help="Write the gaits here.  [default: where the environment ROBOT reads them]",
)
@needs("sim")
def teachers(robot, tasks, evaluations, steps, seed, path) -> None:
    """The gaits of ROBOT's teachers, found by CMA-ES; needs the package 'cma'."""
    try:
        import cma  # noqa: F401
    except ModuleNotFoundError as error:
        raise click.UsageError("needs the package 'cma': pip install cma") from error
    from lwd_benchmarks.gaits.teaching import teach
    from lwd_benchmarks.paths import in_checkout

    path = path or in_checkout("lwd_ros") / f"environments/{robot}/{robot}.json"
    teach(robot, [task.strip() for task in tasks.split(",") if task.strip()], evaluations, seed, steps, path)
    click.echo(f"written to {path}")
