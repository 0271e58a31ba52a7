"""`lwd train`, `lwd validate` and `lwd export`: demonstrations to a run, its check, its model file."""

import sys
from pathlib import Path

import click

from lwd_ros.cli.support import COUNT, FROM_ZERO, needs


@click.command()
@click.option(
    "--config", type=click.Path(), help="Training config, e.g. config/train/NAME.yaml.  [default: chosen from the data]"
)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Dataset: demonstrations.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder.")
@click.option("--seed", type=FROM_ZERO, help="Overrides the config's seed.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.1, max=10_000),
    help="Without --config: about how long to train on this machine.  [default: 4]",
)
@click.option(
    "--stage-1-of",
    type=click.Path(path_type=Path),
    help="A run of the same config but for 'diffusion': its encoder and hypernetwork are taken as they are.",
)
@click.option("--devices", type=COUNT, default=1, help="CUDA devices, or processes on a CPU, that share each batch.")
@needs("train")
def train(config, data, out, seed, minutes, stage_1_of, devices) -> None:
    """Train encoder and hypernetwork, then the latent diffusion; continues a run that was stopped.

    Without --config, sizes and steps are chosen from the data, told, and written to RUN/config.yaml.
    """
    from lwd_ros.dataset import Demonstrations
    from lwd_ros.learning import devices as several
    from lwd_ros.learning.config import TrainConfig
    from lwd_ros.learning.train import train

    if config and minutes is not None:
        raise click.UsageError("--minutes: found beside --config, which says how many steps there are")
    if stage_1_of is not None and config is None:
        raise click.UsageError("--stage-1-of: found no --config, expected one that differs in 'diffusion' alone")
    demonstrations = None
    if config is None:
        demonstrations = Demonstrations(data)
        loaded = _unconfigured(demonstrations, out, seed, minutes)
    else:
        loaded = TrainConfig.load(config)
        if seed is not None:
            loaded = loaded.changed({"seed": seed})
    if devices > 1 and not several.launched():
        several.require(devices)
        path = config or out / "config.yaml"
        arguments = ["--config", path, "--data", data, "--out", out, "--seed", loaded.seed]
        arguments += [] if stage_1_of is None else ["--stage-1-of", stage_1_of]
        sys.exit(several.launch(devices, ["train", *map(str, arguments)]))
    team = several.team()
    run = train(loaded, demonstrations or Demonstrations(data), out, team, stage_1_of)
    if team.first:
        parameters = run.autoencoder.layout.parameters
        click.echo(f"trained '{loaded.name}' (seed {loaded.seed}, {parameters} parameters) in {out}")
        if run.data.held_out:
            click.echo(f"next: lwd validate --run {out} --plot {out}/validation.png")
        click.echo(f"next: lwd export --run {out} --out {loaded.name}.onnx")
    team.end()


def _unconfigured(demonstrations, out: Path, seed: int | None, minutes: float | None):
    """The config of a run that was begun without one, or a new choice, told and written down."""
    from lwd_ros.learning import unconfigured

    found = unconfigured.begun(out)
    if found is not None:
        if minutes is not None:
            raise click.UsageError(f"--minutes: the run in {out} has begun, its steps are chosen; name another folder")
        click.echo(f"The run in {out} goes on with the config that was chosen when it began.", err=True)
        return found if seed is None else found.changed({"seed": seed})
    choice = unconfigured.chosen(demonstrations, seed or 0, minutes)
    for line in choice.lines:
        click.echo(line, err=True)
    for line in choice.warnings:
        click.echo(f"Warning: {line}", err=True)
    path = unconfigured.write(choice, out)
    click.echo(f"Config: {path}; change it and name it with --config and another --out to have it otherwise.", err=True)
    return choice.config


@click.command()
@click.option("--run", "folder", type=click.Path(path_type=Path), required=True, help="Run folder of 'lwd train'.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Model file (.onnx).")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Of an unfinished run: its dataset, where that was moved."
)
@needs("train")
def export(folder, out, data) -> None:
    """Write a run as one self-describing ONNX file; one that was stopped is finished first."""
    from lwd_ros.generator import PolicyGenerator
    from lwd_ros.learning.export import export
    from lwd_ros.learning.train import load

    out.parent.mkdir(parents=True, exist_ok=True)
    export(load(folder, data), out)
    generator = PolicyGenerator(out)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {len(generator.tasks)} tasks, sha256 {generator.digest}")
    click.echo(f"next: ros2 launch lwd_ros robot.launch.py model_file:={out.resolve()} contract_file:=YOUR_CONTRACT")
    click.echo(
        "next: ros2 service call /policy_generator/generate_policy lwd_msgs/srv/GeneratePolicy "
        f"\"{{task: '{generator.tasks[0]}'}}\""
    )


@click.command()
@click.option("--run", "folder", type=click.Path(path_type=Path), required=True, help="Run folder of 'lwd train'.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The run's dataset, where that was moved, or another one: of that, every demonstration.",
)
@click.option("--seed", type=click.IntRange(min=1), default=1, help="Of the first sampled policy.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all numbers here.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write predicted against recorded commands here, a PNG.")
@needs("train")
def validate(folder, data, seed, json_path, plot) -> None:
    """Compare a run's policies with demonstrations that training never saw, one step at a time."""
    import json

    from lwd_ros.evaluation.validation import replayed, unseen, validate
    from lwd_ros.files import written_whole
    from lwd_ros.learning.config import ConfigError
    from lwd_ros.learning.run_folder import describe_run
    from lwd_ros.learning.train import load

    if not describe_run(folder)["finished"]:
        raise ConfigError(f"{folder}: holds a run that is not finished; 'lwd train' with this --out goes on with it")
    run = load(folder)
    demonstrations, notes = unseen(run, folder, data)
    replays = replayed(run, demonstrations, seed)
    result = validate(run, replays, notes)
    for line in _table(result):
        click.echo(line)
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(json_path) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        click.echo(f"written to {json_path}")
    if plot:
        from lwd_ros.evaluation.validation_plot import draw

        draw(run.data.contract, replays, plot)
        click.echo(f"drawn in {plot}")


def _table(result: dict):
    """Lines for a terminal: a block for each task, worst moments, sentences."""
    titles = {"decoded": "decoded from it", "sampled": "sampled", "rest": "standing still", "mean": "mean command"}
    for task, entry in result["tasks"].items():
        yield f"{task}: {len(entry['demonstrations'])} demonstrations, {entry['frames']} frames"
        for name, found in entry["commands"].items():
            yield f"  {name} [{found['unit']}], at rest in {100 * found['rest_share']:.0f} % of the frames"
            columns = (f"{when + ': mean':>16}{'95 %':>10}{'max':>10}" for when in ("in motion", "at rest"))
            yield f"    {'error':16}{''.join(columns)}"
            for kind, title in titles.items():
                yield f"    {title:16}{_cells(found[kind]['motion'])}{_cells(found[kind]['rest'])}"
    yield "worst moments of sampled policies:"
    for moment in result["worst"]:
        seen = ", ".join(f"{name} {value:g}" for name, value in moment["most_unusual_seen"].items())
        yield (
            f"  {moment['task']}, demonstration {moment['demonstration']}, second {moment['second']:.2f}: "
            f"{moment['command']} recorded {moment['recorded']:g} {moment['unit']}, predicted {moment['predicted']:g}; "
            f"most unusual of what was seen: {seen}"
        )
    yield from result["sentences"]


def _cells(errors: dict | None) -> str:
    """Mean, 95th percentile and maximum in their columns; dashes where there is no such frame."""
    values = ["-"] * 3 if errors is None else [f"{errors[key]:.3g}" for key in ("mean", "p95", "max")]
    return f"{values[0]:>16}{values[1]:>10}{values[2]:>10}"
