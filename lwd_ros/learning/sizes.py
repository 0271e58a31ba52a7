"""A training config from what a dataset is like: sizes, steps, and the reasons in plain sentences.

The values were chosen by measurement: docs/benchmarks/choices.md has them beside others.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lwd_ros.contract.rest import is_position
from lwd_ros.dataset import DatasetError
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.facts import CommandFacts, DataFacts
from lwd_ros.learning.pace import Pace
from lwd_ros.learning.parting import SEVERAL
from lwd_ros.policy import PolicyLayout

LARGEST_POLICY = 1000
"""Parameters."""

MINUTES = 4.0
"""Of training, where nobody says how long."""

HELD_OUT = 0.05
"""Of each task's demonstrations, for `lwd validate`: one of 20. Few are better learned from than looked at."""

HELD_OUT_OF_FEW = 0.1
"""Where a task has fewer than 20 demonstrations: one of 10 to 19."""

_WIDEST, _NARROWEST = 16, 8  # units of each of the two hidden layers; of 23, two tasks of an arm failed
_MOST_STEPS, _FEWEST_STEPS, _FEW_STEPS = 20_000, 1_000, 4_000  # of stage 1; fewer than the last: too few
_STAGES = 2  # steps of stage 1 over those of stage 2
_OVERHEAD_S = 6.0  # reading, timing, writing
_SAMPLES = 16  # of a demonstration, for the encoder
_NARROW = 0.8  # of the limits' width: less counts as narrow
_IDLE = 0.4  # of the frames: more are many
_FEW_EPISODES = 10
_DECAY = 2e-4  # of a policy's squared weights
_WAYS = {"others": "neighbours", "kl_weight": 1e-6}  # where a task has several


@dataclass(frozen=True)
class Choice:
    """A config without its final steps.

    Attributes:
        config: of the run.
        lines: what was chosen and why, a sentence or two each.
        warnings: what about the data may make the robot fail, and what to do.
    """

    config: TrainConfig
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def held_out_share(counts: Iterable[int]) -> float:
    """How much to keep from training, where tasks have so many demonstrations."""
    return HELD_OUT if min(counts, default=0) * HELD_OUT >= 1 else HELD_OUT_OF_FEW


def choose(facts: DataFacts, name: str, seed: int = 0, held_out: float = 0.0) -> Choice:
    """Choose everything but the steps and what is held out; raises DatasetError where nothing can be learned."""
    if not facts.varying:
        raise DatasetError(
            f"{name}: found no observed scalar that ever changes, expected one at least: a policy would be blind"
        )
    lines, warnings = [_what(facts)], []
    width, inputs = hidden_width(facts), len(facts.varying) * facts.contract.history
    layout = PolicyLayout((inputs, width, width, len(facts.commands)))
    lines.append(_policy_line(facts, layout))
    if facts.constant:
        lines.append(
            f"Hidden from policies, for they never change here: {_listed(facts.constant)}. Neither policies nor the "
            "training range of 'lwd validate' and the controller will notice if they do on the robot."
        )
    positions = [c for c in facts.commands if is_position(c.rest) and not c.relative and not c.levels]
    demonstrated = any(c.width_share < _NARROW for c in facts.commands)
    if demonstrated:
        narrow = [c.name for c in facts.commands if c.width_share < _NARROW]
        lines.append(
            f"Outputs are scaled to the demonstrated range, and end 5 % beyond it or less: the limits of "
            f"{_listed(narrow)} are wider than what was shown."
        )
    offsets = [c for c in facts.commands if c.relative and not c.levels]
    if offsets:
        lines.append(
            f"Errors of {_listed([c.name for c in offsets])} count in units of the usual offset: the largest one shown "
            "is many times that."
        )
    if positions:
        lines.append(
            f"Errors of {_listed([c.name for c in positions])} count in units of their motion: targets lie near the "
            "measured position, and standing still would look almost right."
        )
    lines.append(
        "Policies read every scalar, so the generator is told the task alone; it needs no observation. Scenes are not "
        "moved about: whether that is right cannot be known from the data."
    )
    several = facts.ways > 1 or (facts.ways == 0 and facts.parting is not None and facts.parting > SEVERAL)
    if several:
        lines.append(
            f"Demonstrations of a task go {'several' if facts.ways == 0 else facts.ways} ways. So each policy learns "
            "from its own demonstration and from those that go the same way, by their latents."
        )
    config = TrainConfig.from_dict(
        {
            "name": name,
            "seed": seed,
            "hidden_layers": [width, width],
            "hide": list(facts.constant),
            "held_out": held_out,
            "action_range": "demonstrated" if demonstrated else "limits",
            "action_loss": "motion" if positions or offsets else "range",
            "autoencoder": {"tokens": tokens(facts.lengths), "policy_decay": _DECAY, **(_WAYS if several else {})},
            "diffusion": {"latent_unit": "posterior"} if several else {},
        }
    )
    if several and facts.ways == 0:
        warnings.append(
            f"Where demonstrations of a task come to the same place, they part in {100 * (facts.parting or 0):.0f} % "
            "of the cases. If that is no mistake, a dataset's column 'way' says who goes which way "
            "(docs/reference/dataset.md), and 'lwd evaluate --ways' how often a policy goes each."
        )
    warnings += _warnings(facts, positions)
    return Choice(config, tuple(lines), tuple(warnings))


def hidden_width(facts: DataFacts) -> int:
    """Units of each hidden layer: as many as LARGEST_POLICY allows, from _NARROWEST to _WIDEST."""
    inputs, commands = len(facts.varying) * facts.contract.history, len(facts.commands)
    fitting = [
        width
        for width in range(_NARROWEST, _WIDEST + 1)
        if PolicyLayout((inputs, width, width, commands)).parameters <= LARGEST_POLICY
    ]
    return fitting[-1] if fitting else _NARROWEST


def tokens(lengths: np.ndarray) -> int:
    """Samples that describe a demonstration: 16, more of long ones, no more than the longest has steps."""
    wished = max(_SAMPLES, min(2 * _SAMPLES, int(np.median(lengths)) // 16))
    return max(2, min(wished, int(np.max(lengths))))


def with_steps(config: TrainConfig, pace: Pace, minutes: float | None = None) -> tuple[TrainConfig, str]:
    """The config with as many steps as fit into `minutes` at this machine's pace, and a sentence that says so.

    Where nobody asks for `minutes`, they are MINUTES or what _FEW_STEPS need. Steps become part of the config:
    the same config trains the same weights on a faster or a slower machine.
    """
    fewest, minutes = (_FEW_STEPS, MINUTES) if minutes is None else (_FEWEST_STEPS, minutes)
    cost_s = pace.autoencoder_s + pace.diffusion_s / _STAGES
    fitting = (60 * minutes - _OVERHEAD_S) / cost_s
    steps = int(min(max(fitting, fewest), _MOST_STEPS)) // 100 * 100
    chosen = config.changed({"autoencoder.steps": steps, "diffusion.steps": steps // _STAGES})
    taken = (steps * cost_s + _OVERHEAD_S) / 60
    line = (
        f"{steps} steps of stage 1 and {steps // _STAGES} of stage 2: about {taken:.1f} minutes at this machine's pace"
    )
    needed = np.ceil((_FEW_STEPS * cost_s + _OVERHEAD_S) / 60)
    if steps < _FEW_STEPS:
        line += f". That is little; {_FEW_STEPS} steps need --minutes {needed:.0f}"
    elif fitting > _MOST_STEPS:
        line += "; more gained nothing where it was tried"
    return chosen, line + "."


def _what(facts: DataFacts) -> str:
    counts, period = facts.counts, facts.contract.period_s
    each = f"{counts[0]}" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
    seconds = np.array([facts.lengths.min(), facts.lengths.max()]) * period
    tasks = f"{len(counts)} task{'s' if len(counts) > 1 else ''}"
    return (
        f"Found {tasks}, {each} demonstrations each to learn from, of {seconds[0]:.1f} to {seconds[1]:.1f} s; "
        f"observed scalars: {len(facts.contract.observation)}, commands: {len(facts.commands)}, a history of "
        f"{facts.contract.history}."
    )


def _policy_line(facts: DataFacts, layout: PolicyLayout) -> str:
    inputs, width = layout.layer_sizes[0], layout.layer_sizes[1]
    text = f"Policies: {inputs} inputs, two layers of {width}, {layout.parameters} parameters."
    vectors = {name: size for name, size in facts.vectors.items() if size >= 8}
    if layout.parameters > LARGEST_POLICY:
        text += f" That is above {LARGEST_POLICY}, with the narrowest layers that are worth while."
        if vectors:
            text += f" Most inputs are those of {_listed([f'{name} ({size})' for name, size in vectors.items()])}."
        text += " Fewer inputs (a coarser scan, a shorter history) would mend it."
    elif width < _WIDEST:
        text += f" The layers are narrower than {_WIDEST}, to stay below {LARGEST_POLICY} with so many inputs."
    return text


def _warnings(facts: DataFacts, positions: list[CommandFacts]) -> list[str]:
    found = []
    few = min(facts.counts)
    if few < _FEW_EPISODES:
        found.append(f"A task has {few} demonstration{'s' if few > 1 else ''} to learn from; ten or more are usual.")
    constant = [c for c in facts.commands if c.constant]
    if constant:
        values = _listed([f"{c.name} ({c.low:g} {c.unit})" for c in constant])
        found.append(f"Never changes, so policies will command that always: {values}.")
    if positions:
        found.append(
            f"{_listed([c.name for c in positions])}: targets as such need more demonstrations than offsets to the "
            "measured position; 'relative_to: NAME' in the contract makes them such, see docs/reference/contracts.md."
        )
    if facts.idle_share > _IDLE:
        found.append(
            f"In {100 * facts.idle_share:.0f} % of the frames every command is at rest; policies may stop early. Cut "
            "the waiting at the beginning and the end of episodes."
        )
    beyond = [f"{c.name} ({100 * c.beyond:.0f} % of the frames)" for c in facts.commands if c.beyond > 0.01]
    if beyond:
        found.append(f"Commanded beyond the contract's limits, which a robot never does: {_listed(beyond)}.")
    short = int((facts.lengths < 16).sum())
    if short:
        found.append(f"{short} of {len(facts.lengths)} demonstrations have fewer than 16 steps; are they whole?")
    return found


def _listed(names) -> str:
    """At most six names."""
    names = list(names)
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
