"""Our LeRobot datasets opened by lerobot, lerobot's own opened by us: every number compared. `make test-lerobot`."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.dataset import Demonstrations, Episode, write_dataset
from lwd_ros.dataset.lerobot import ExportSettings, Mapping, export, read
from lwd_ros.errors import LwdError
from lwd_ros.evaluation.evaluate import write_json

INSIDE = Path(__file__).parent / "inside"
_ESTIMATED = ("q01", "q10", "q50", "q90", "q99")  # lerobot's are from histograms, and means of the episodes'

_ARM = {
    "name": "arm",
    "period_s": 1 / 30,
    "history": 1,
    "observation": {
        "shoulder_pan": {"unit": "rad", "limits": [-2.0, 2.0]},
        "elbow_flex": {"unit": "rad", "limits": [-2.0, 2.0]},
        "gripper": {"unit": "1", "limits": [0.0, 1.0]},
    },
    "command": {
        name: {"unit": unit, "limits": limits, "slew_per_s": 10.0, "rest": name}
        for name, unit, limits in (
            ("gripper", "1", [0.0, 1.0]),
            ("shoulder_pan", "rad", [-2.0, 2.0]),
            ("elbow_flex", "rad", [-2.0, 2.0]),
        )
    },
}
_MAPPING = """
observation: &names
  shoulder_pan: {from: shoulder_pan.pos, scale: degrees}
  elbow_flex: {from: elbow_flex.pos, scale: degrees}
  gripper: {from: gripper.pos, scale: 0.01}
action: *names
tasks: {"Pick up the cube.": pick, "Put it into the box!": place}
"""


class LeRobotCheckError(LwdError):
    """lerobot and we do not agree on a dataset: says on what."""


def clean_environment() -> dict[str, str]:
    """The variables for a process of lerobot's environment: nothing of ours on its paths, offline, one thread."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    return kept | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def inside(python: Path, script: str, *words: object) -> None:
    """Run a script in lerobot's environment, offline and on one thread; LeRobotCheckError with its last lines."""
    done = subprocess.run(
        [python, INSIDE / script, *map(str, words)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = "; ".join(done.stderr.strip().splitlines()[-3:])
        raise LeRobotCheckError(f"{python} {script} {words[0]}: ended with status {done.returncode}: {last}")


@dataclass
class Checks:
    """What was compared: each check with its number of values and the largest difference that was found."""

    rows: dict[str, dict] = field(default_factory=dict)

    def equal(self, name: str, found, expected, tolerance: float = 0.0) -> None:
        """Compare arrays or plain data; LeRobotCheckError where they differ by more than `tolerance`, relatively."""
        numeric = isinstance(expected, np.ndarray) and expected.dtype.kind in "fiub"
        if not numeric:
            if found != expected:
                raise LeRobotCheckError(f"{name}: found {found!r:.200}, expected {expected!r:.200}")
            self.rows[name] = {
                "values": len(expected) if hasattr(expected, "__len__") else 1,
                "largest_difference": 0.0,
            }
            return
        found = np.asarray(found)
        if found.shape != expected.shape:
            raise LeRobotCheckError(f"{name}: found shape {found.shape}, expected {expected.shape}")
        difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
        largest = float(difference.max()) if difference.size else 0.0
        if (difference > tolerance * np.maximum(1.0, np.abs(expected))).any():
            raise LeRobotCheckError(f"{name}: found a difference of {largest:.3g}, expected {tolerance:g} at most")
        self.rows[name] = {"values": int(expected.size), "largest_difference": largest}


def random_demonstrations(folder: Path, contract: Contract) -> Demonstrations:
    """Three tasks of random numbers within the contract's limits, of several lengths, with layouts and sources."""
    random = np.random.default_rng(1)
    episodes: dict[str, list[Episode]] = {}
    low = np.array([each.minimum for each in contract.observation])
    high = np.array([each.maximum for each in contract.observation])
    least, most = contract.command_limits
    for place, task in enumerate(("reach", "press the button", "turn.it-on")):
        episodes[task] = [
            Episode(
                random.uniform(low, high, (length, len(low))),
                random.uniform(least, most, (length, len(least))),
                layout=1000 * place + length,
                after="reach" if length % 2 else "",
                source=f"random {place}" if place else "",
            )
            for length in (2, 17, 40 + place)
        ]
    write_dataset(folder, contract, episodes, {"made_by": "lwd_benchmarks.peers.roundtrip"})
    return Demonstrations(folder)


def check_export(data: Demonstrations, folder: Path, python: Path, dtype: str, checks: Checks) -> dict:
    """Export `data`, have lerobot open it, compare all numbers, and import it again; what lerobot said of itself."""
    place, result = folder / f"exported_{dtype}", folder / f"{dtype}.npz"
    written = export(data, place, ExportSettings(dtype, task_feature=True))
    inside(python, "check.py", "read", place, result)
    theirs = np.load(result)
    described = json.loads(str(theirs["described"]))
    rows = [each for task in data.tasks for each in data.episodes[task]]
    tasks = [task for task in data.tasks for _ in data.episodes[task]]
    lengths = [len(each.action) for each in rows]
    name = f"export {dtype}"
    for key, ours in (
        ("observation.state", np.concatenate([each.observation for each in rows])),
        ("action", np.concatenate([each.action for each in rows])),
    ):
        checks.equal(f"{name}: {key}, in the file", theirs[f"column/{key}"], ours.astype(dtype))
        checks.equal(f"{name}: {key}, as a training sees it", theirs[f"frame/{key}"], ours.astype(np.float32))
    hot = np.repeat([np.eye(len(data.tasks))[data.tasks.index(task)] for task in tasks], lengths, axis=0)
    checks.equal(f"{name}: task feature", theirs["frame/observation.environment_state"], hot)
    texts = [written.texts[task] for task, length in zip(tasks, lengths, strict=True) for _ in range(length)]
    checks.equal(f"{name}: task texts", described["texts"], texts)
    ends = np.cumsum(lengths)
    checks.equal(f"{name}: episodes begin", np.array(described["from"]), ends - lengths)
    checks.equal(f"{name}: episodes end", np.array(described["to"]), ends)
    times = np.concatenate([np.arange(length) * data.contract.period_s for length in lengths]).astype(np.float32)
    checks.equal(f"{name}: timestamps", theirs["frame/timestamp"], times, 1e-6)
    checks.equal(f"{name}: rate", described["fps"], round(1 / data.contract.period_s))
    names = described["features"]
    checks.equal(f"{name}: names observed", names["observation.state"]["names"], list(data.contract.observation_names))
    checks.equal(f"{name}: names commanded", names["action"]["names"], list(data.contract.command_names))
    for key, stats in described["own_stats"].items():
        for kind, value in stats.items():
            if kind not in _ESTIMATED:
                where = f"{name}: statistics of {key}, {kind}"
                checks.equal(where, np.array(described["stats"][key][kind]), np.array(value), 1e-6)
    back = read(place, data.contract)
    _compare_episodes(f"{name}: imported again", back.episodes, data, dtype, checks)
    return described


def _compare_episodes(name: str, found: dict, data: Demonstrations, dtype: str, checks: Checks) -> None:
    checks.equal(f"{name}: numbers of episodes", {k: len(v) for k, v in found.items()},
                 {_slug(k): len(v) for k, v in data.episodes.items()})  # fmt: skip
    ours = [each for rows in data.episodes.values() for each in rows]
    theirs = [each for rows in found.values() for each in rows]
    for key in ("observation", "action"):
        expected = np.concatenate([getattr(each, key) for each in ours]).astype(dtype).astype(np.float64)
        checks.equal(f"{name}: {key}", np.concatenate([getattr(each, key) for each in theirs]), expected)
    for key in ("layout", "after", "source"):
        checks.equal(f"{name}: {key}", [getattr(each, key) for each in theirs], [getattr(each, key) for each in ours])


def _slug(task: str) -> str:
    return task.replace(" ", "-")


def check_import(folder: Path, python: Path, checks: Checks) -> None:
    """A dataset of lerobot's recorder, in degrees, imported, exported and imported: the recorder's own numbers."""
    written, result, mapping_file = folder / "written", folder / "written.npz", folder / "mapping.yaml"
    inside(python, "check.py", "write", written, result)
    numbers, contract = np.load(result), Contract.from_dict(_ARM)
    mapping_file.write_text(_MAPPING)
    mapping = Mapping.load(mapping_file)
    imported = read(written, contract, mapping)
    texts = {"pick": "Pick up the cube.", "place": "Put it into the box!"}
    scale, order = np.array([np.pi / 180, np.pi / 180, 0.01]), [2, 0, 1]
    rows = [each for task in texts for each in imported.episodes[task]]
    chosen = np.concatenate([np.flatnonzero(numbers["task"] == text) for text in texts.values()])
    state, action = (numbers[key][chosen].astype(np.float64) for key in ("state", "action"))
    checks.equal("import: observation", np.concatenate([each.observation for each in rows]), state * scale)
    checks.equal("import: action", np.concatenate([each.action for each in rows]), (action * scale)[:, order])
    write_dataset(folder / "data", contract, imported.episodes, imported.settings())
    back, again = folder / "back", folder / "back.npz"
    export(Demonstrations(folder / "data"), back, ExportSettings("float32", mapping=mapping))
    inside(python, "check.py", "read", back, again)
    theirs = np.load(again)
    checks.equal("import, export: state as recorded", theirs["frame/observation.state"], numbers["state"][chosen])
    recorded = numbers["action"][chosen][:, order]  # in the contract's order
    checks.equal("import, export: action as recorded", theirs["frame/action"], recorded)
    checks.equal(
        "import, export: texts", json.loads(str(theirs["described"]))["texts"], numbers["task"][chosen].tolist()
    )
    twice = read(back, contract, mapping)
    same = [each for task in texts for each in twice.episodes[task]]
    checks.equal("import, export, import: observation", np.concatenate([each.observation for each in same]),
                 np.concatenate([each.observation for each in rows]))  # fmt: skip
    checks.equal("import, export, import: action", np.concatenate([each.action for each in same]),
                 np.concatenate([each.action for each in rows]))  # fmt: skip


@click.command()
@click.option("--python", type=click.Path(exists=True, path_type=Path), required=True, help="Of lerobot's environment.")
@click.option("--contract", type=click.Path(), default="config/metaworld.yaml", help="Of the random demonstrations.")
@click.option("--data", type=click.Path(path_type=Path), help="A dataset of yours to check as well.")
@click.option("--json", "path", type=click.Path(path_type=Path), required=True, help="Write the result here.")
def main(python, contract, data, path) -> None:
    """Compare all numbers of LeRobot datasets, as lerobot and as we read and write them."""
    checks = Checks()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demonstrations = random_demonstrations(folder / "random", Contract.load(contract))
        described = check_export(demonstrations, folder, python, "float64", checks)
        check_export(demonstrations, folder, python, "float32", checks)
        check_import(folder, python, checks)
        inside(python, "check.py", "train", folder / "exported_float64", folder / "trained")
        checks.equal("lerobot-train takes it", (folder / "trained/checkpoints/last").exists(), True)
        if data:
            (folder / "yours").mkdir()
            check_export(Demonstrations(data), folder / "yours", python, "float32", checks)
    result = {
        "check": "lerobot",
        **{key: described[key] for key in ("lerobot", "torch", "python")},
        "values": sum(row["values"] for row in checks.rows.values()),
        "checks": checks.rows,
    }
    write_json(result, path)
    click.echo(
        f"lerobot {described['lerobot']}: {len(checks.rows)} checks of {result['values']} values, written to {path}"
    )


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except LwdError as error:
        sys.exit(f"test-lerobot: {error}")
