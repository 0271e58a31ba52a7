"""The run folder: whose it is, which version made it, how far it came."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from lwd_ros.dataset import Demonstrations
from lwd_ros.files import written_whole
from lwd_ros.learning.config import Config, ConfigError, TrainConfig
from lwd_ros.learning.summary import FILE, DataSummary
from lwd_ros.learning.tensors import write_tensors
from lwd_ros.reading import read_json

RUN = "run.json"
RUN_FORMAT = 2
"""1 needed its dataset for everything, and stated no number."""


def claim(folder: Path, config: Config, demonstrations: Demonstrations, **more: str) -> dict:
    """Make `folder` the home of one run, or find that it is; returns the identity that its checkpoints carry.

    A baseline names its method in `more`. Raises ConfigError where the folder belongs to another run.
    """
    identity = identity_for(config, demonstrations, **more)
    run = folder / RUN
    if run.exists():
        if identity_of(read_run(folder)) != identity:
            raise ConfigError(f"{folder}: holds a run of another config, dataset or method; name another folder")
        return identity
    folder.mkdir(parents=True, exist_ok=True)
    content = {"format": RUN_FORMAT, **identity, "data": str(demonstrations.folder.resolve())}
    with written_whole(run) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return identity


def identity_for(config: Config, demonstrations: Demonstrations, **more: str) -> dict:
    """What the checkpoints of a run of these carry, as plain JSON."""
    return json.loads(json.dumps({"config": config.to_dict(), "data_digest": demonstrations.digest, **more}))


def identity_of(content: dict) -> dict:
    """What of a `run.json` its checkpoints must agree with; a dataset may be moved."""
    return {key: value for key, value in content.items() if key not in ("data", "format")}


def read_run(folder: Path) -> dict:
    """The content of a folder's `run.json`; ConfigError where it is none, or one of another version."""
    path, expected = folder / RUN, "a folder that 'lwd train' made"
    content = read_json(path, expected, ConfigError)
    for key, kind in (("config", dict), ("data", str), ("data_digest", str)):
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise ConfigError(f"{path}: found no '{key}'; expected {expected}")
    number = content.get("format", 1)
    if number != RUN_FORMAT:
        raise ConfigError(
            f"{path}: found a run of format {number!r}, expected {RUN_FORMAT}: it was made by another version of "
            "lwd_ros; use that version, or train again"
        )
    return content


def steps_of(folder: Path, stage: str) -> int:
    """Steps that a stage's checkpoint holds; 0 where there is none, ConfigError where it is broken."""
    path = folder / f"{stage}.safetensors"
    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            return int((file.metadata() or {})["step"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        text = f"{path}: is not a whole checkpoint ({error}); delete it to train this stage again"
        raise ConfigError(text) from error


def stages_of(folder: Path, content: dict) -> dict[str, int]:
    """The stages of a run by name, with the steps of each, from its `run.json`; ConfigError where that is broken."""
    config, method = content["config"], content.get("method")
    if method is None:
        read = TrainConfig.from_dict(config, where=str(folder / RUN))
        return {"autoencoder": read.autoencoder.steps, "diffusion": read.diffusion.steps}
    stage = config if "steps" in config else config.get("autoencoder")
    steps = stage.get("steps") if isinstance(stage, dict) else None
    if not isinstance(method, str) or not isinstance(steps, int):
        text = f"found method {method!r} of {steps!r} steps, expected a text and a whole number"
        raise ConfigError(f"{folder / RUN}: {text}")
    return {method: steps}


def require_adoptable(source: Path, stage: str, identity: dict, free: str) -> int:
    """The steps of a finished stage of another run that a run of `identity` may go on from.

    Args:
        source: the folder of the other run.
        stage: whose checkpoint is to be taken.
        identity: as `identity_for` gives it.
        free: what of the config may differ, beside the name.

    Raises:
        ConfigError: the other run has not finished the stage, or its config or dataset is another one.
    """
    other = identity_of(content := read_run(source))
    if other.get("method") != identity.get("method"):
        raise ConfigError(f"{source}: found a run of the method '{other.get('method')}', expected one of 'lwd train'")
    wanted, found = ({k: v for k, v in each["config"].items() if k not in ("name", free)} for each in (identity, other))
    keys = [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]
    if other["data_digest"] != identity["data_digest"]:
        keys.append("the dataset")
    if keys:
        raise ConfigError(f"{source}: found another {' and '.join(keys)}, expected those of this run but for '{free}'")
    steps, done = stages_of(source, content)[stage], steps_of(source, stage)
    if done < max(steps, 1):
        raise ConfigError(f"{source}: found {done} of {steps} steps of '{stage}', expected that stage to be finished")
    return done


def adopt(source: Path, folder: Path, stage: str, identity: dict, done: int) -> None:
    """Copy a finished stage of `done` steps into `folder`, as that of a run of `identity`.

    Raises:
        ConfigError: the stage has begun there by itself.
    """
    target = folder / f"{stage}.safetensors"
    if target.exists():
        if steps_of(folder, stage) < done:
            raise ConfigError(
                f"{folder}: has begun its own '{stage}', expected an empty folder to take over that of {source}"
            )
        return
    metadata = {"identity": json.dumps(identity, sort_keys=True), "step": str(done)}
    write_tensors(target, load_file(source / f"{stage}.safetensors"), metadata)


def describe_run(folder: Path) -> dict:
    """What a run folder is, as plain data: config, dataset, tasks, steps done; its dataset may be gone.

    Raises:
        ConfigError: the folder holds no run, one of another version, or a broken one.
    """
    content = read_run(folder)
    stages = {
        name: {"done": steps_of(folder, name), "steps": steps} for name, steps in stages_of(folder, content).items()
    }
    described = {
        "format": content["format"],
        "method": content.get("method", "latent weight diffusion"),
        "finished": all(stage["done"] >= stage["steps"] for stage in stages.values()),
        "stages": stages,
        "data_digest": content["data_digest"],
        "data": content["data"],
        "tasks": None,  # until training has read the dataset
        "demonstrations": None,
        "contract_digest": None,
    }
    if (folder / FILE).exists():
        summary = DataSummary.load(folder)
        described |= {
            "tasks": list(summary.tasks),
            "demonstrations": len(summary.task),
            "contract_digest": summary.contract.digest,
        }
    return described | {"config": content["config"]}
