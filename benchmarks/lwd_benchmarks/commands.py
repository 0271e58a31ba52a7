"""The commands of `lwd` that make benchmarks: baselines, studies, the report."""

from importlib import import_module
from pathlib import Path
from typing import ClassVar

import click

from lwd_benchmarks.study_commands import study
from lwd_ros.cli.support import FROM_ZERO, needing, needs

__all__ = ["baseline", "bench", "report", "study"]


@click.command()
@click.option("--method", required=True, help="One of methods.yaml that is trained, or made from a run.")
@click.option("--config", type=click.Path(), help="To train: config, as for 'lwd train'.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="To train: dataset; of a run: its dataset, where the method needs it.",
)
@click.option("--out", type=click.Path(path_type=Path), help="To train: run folder.")
@click.option("--seed", type=FROM_ZERO, help="To train: overrides the config's seed.")
@click.option("--run", "folder", type=click.Path(path_type=Path), help="Else: finished run folder of 'lwd train'.")
@click.option("--model", type=click.Path(path_type=Path), required=True, help="Model file (.onnx) to write.")
@needs("train")
def baseline(method, config, data, out, seed, folder, model) -> None:
    """Make a method to compare with: train it as 'lwd train' would, or derive it from a finished run."""
    from lwd_benchmarks.methods import LATENT, METHODS, TRAINED
    from lwd_benchmarks.methods.diffusion_policy.config import METHOD as DIFFUSION_POLICY
    from lwd_benchmarks.methods.diffusion_policy.config import DiffusionPolicyConfig
    from lwd_benchmarks.methods.diffusion_policy.training import train_diffusion_policy
    from lwd_benchmarks.methods.latents import latent_baseline
    from lwd_benchmarks.methods.training import train_baseline
    from lwd_ros.dataset import Demonstrations
    from lwd_ros.generator import PolicyGenerator
    from lwd_ros.learning.config import TrainConfig
    from lwd_ros.learning.train import load

    methods = (*TRAINED, DIFFUSION_POLICY, *LATENT)
    if method not in methods:
        raise click.UsageError(f"--method: found '{method}', expected one of {', '.join(methods)}")
    trained = method in (*TRAINED, DIFFUSION_POLICY)
    needed, optional = (("--config", "--data", "--out"), {"--seed"}) if trained else (("--run",), {"--data"})
    options = {"--config": config, "--data": data, "--out": out, "--seed": seed, "--run": folder}
    given = [name for name, value in options.items() if value is not None]
    if set(given) - optional != set(needed):
        found = ", ".join(given) or "none of them"
        raise click.UsageError(f"--method {method}: found {found}, expected {', '.join((*needed, *optional))}")
    changes = {} if seed is None else {"seed": seed}
    if method == DIFFUSION_POLICY:
        published = DiffusionPolicyConfig.load(config).changed(changes)
        description = train_diffusion_policy(published, Demonstrations(data), out, model)
        click.echo(f"{model}: {method}, horizon {description.prediction_horizon}, {description.parameters} parameters")
        return
    if method in TRAINED:
        train_baseline(method, TrainConfig.load(config).changed(changes), Demonstrations(data), out, model)
    else:
        latent_baseline(method, load(folder), model, None if data is None else Demonstrations(data))
    if METHODS[method].kind == "mixture":  # a model file of its own kind
        click.echo(f"{model}: {method}")
        return
    generator = PolicyGenerator(model)
    click.echo(f"{model}: {method}, {generator.description.policy_parameters} parameters, sha256 {generator.digest}")


_PAGES = (
    "metaworld", "diffusion_policy", "handover", "peers", "own", "choices", "ways", "asking", "gaits", "controller",
)  # fmt: skip
"""Names of `lwd_benchmarks.report.pages.PAGES`, which is not imported before it is needed."""


@click.command()
@click.option(
    "--page",
    "pages",
    type=click.Choice(_PAGES),
    multiple=True,
    help="Write this one only; name the option again for another.  [default: all]",
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of all results.  [default: benchmarks/results of the repository]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the pages; README.md is written only where this is left out.  [default: docs/benchmarks]",
)
@needs("demo")
def report(pages, results, out) -> None:
    """Write the benchmark pages, their plots and headlines.json from results; the same results give the same bytes.

    Without --page: every page that there are results of.
    """
    from lwd_benchmarks.paths import in_checkout
    from lwd_benchmarks.report.pages import README, write

    folder, readme = results or in_checkout("benchmarks/results"), None
    if out is None:
        out = in_checkout("docs") / "benchmarks"
        readme = None if pages else in_checkout(README)
    for path in write(folder, out, pages, readme):
        click.echo(f"written to {path}")


class Benchmarks(click.Group):
    """The controller's benchmarks: each is a module that is loaded when it is called, since all but one need ROS 2."""

    NAMES: ClassVar = {
        "fields": "Reading messages by the contract's paths.",
        "handover": "A second skill, seconds after its task, through the real nodes.",
        "import": "Recordings to a dataset, over real time.",
        "latency": "From observation to command, beside a bare echo.",
        "report": "The page of all of them.",
        "soak": "Memory and processor time over long runs.",
        "step": "One step of policies of growing size.",
        "swap": "Swaps in motion.",
        "swap_profile": "What the threads use for a swap.",
    }

    def list_commands(self, context: click.Context) -> list[str]:
        """Every benchmark."""
        return list(self.NAMES)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """A benchmark; UsageError where ROS 2 is missing."""
        if name not in self.NAMES:
            return None
        if name == "report":
            return bench_report
        if name == "import":
            return needing(import_module("lwd_benchmarks.recordings.importing").main, "bags")
        try:
            return import_module(f"lwd_benchmarks.controller.{name}").main
        except ModuleNotFoundError as error:
            raise click.UsageError(f"'lwd bench {name}' needs ROS 2: found no module '{error.name}'") from error

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """As click's, without loading any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.NAMES.items()))


@click.group(cls=Benchmarks)
def bench() -> None:
    """Benchmarks of the controller: latency, swaps, a policy's step, memory; each writes JSON by --json."""


@click.command("report")
@click.pass_context
def bench_report(context) -> None:
    """Write docs/benchmarks/controller.md."""
    context.invoke(report, pages=("controller",))
