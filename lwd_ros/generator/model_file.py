"""The model file: what an ONNX file of ours says about itself. `docs/reference/model_file.md` shows it to readers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from lwd_ros.contract import Contract, ContractError
from lwd_ros.generator.conditions import OBSERVATION, TASK, Condition, ModelError
from lwd_ros.policy import PolicyError, PolicyLayout

FORMAT = 3
FORMATS = (1, 2, 3)
"""What is read; FORMAT is what is written. Format 1 knew no conditions but a task and, where
`condition_on_observation`, an observation, of these names. Formats 1 and 2 had their sampling steps in the graph."""

METADATA_KEY = "lwd_ros"
NOISE = "noise"
STEPS = "sampling_steps"
OUTPUTS = ("weights", "observation_mean", "observation_std", "observation_minimum", "observation_maximum")

__all__ = ["FORMAT", "METADATA_KEY", "NOISE", "OUTPUTS", "Condition", "ModelDescription", "ModelError", "content_of"]


@dataclass(frozen=True)
class ModelDescription:
    """What the metadata of a model file holds.

    Graph inputs: `noise` float32 [B, latent_size], one for each of `conditions`, of its name, and, where
    `sampling_steps` is above 0, `sampling_steps` int64 [1], for which that is the usual number. Graph outputs:
    `weights` float32 [B, P] and the normalisation and training range that belong to them, float32 [B, inputs] each.

    `method` names how the weights come about; `policy_parameters` is what must be stored to act, where that is more
    than the layout of one policy (0: that layout).
    """

    contract: Contract
    conditions: tuple[Condition, ...]
    layout: PolicyLayout
    observation_indices: tuple[int, ...]
    action_offset: tuple[float, ...]
    action_scale: tuple[float, ...]
    latent_size: int
    training: dict = field(default_factory=dict)
    method: str = "latent weight diffusion"
    policy_parameters: int = 0
    sampling_steps: int = 0
    license: str = "Apache-2.0"

    def __post_init__(self):
        # A multi-task network that is cut into one policy per task has more parameters than one of those policies.
        object.__setattr__(self, "policy_parameters", self.policy_parameters or self.layout.parameters)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that policies can be generated for."""
        return self.task_condition.names

    @property
    def task_condition(self) -> Condition:
        """The condition of the kind `task`; every description has one."""
        return next(condition for condition in self.conditions if condition.kind == TASK)

    @property
    def condition_on_observation(self) -> bool:
        """Whether a policy is generated for an observation, too."""
        return self.condition(OBSERVATION) is not None

    def condition(self, kind: str) -> Condition | None:
        """The condition of a kind, or None."""
        return next((condition for condition in self.conditions if condition.kind == kind), None)

    def to_metadata(self) -> dict[str, str]:
        """The one entry to write into an ONNX file's metadata."""
        content = {
            "format": FORMAT,
            "contract": self.contract.meaning(),
            "contract_digest": self.contract.digest,
            "conditions": [condition.to_dict() for condition in self.conditions],
            "policy": {
                "layer_sizes": list(self.layout.layer_sizes),
                "hidden_activation": self.layout.hidden_activation,
                "output_activation": self.layout.output_activation,
                "observation_indices": list(self.observation_indices),
                "action_offset": list(self.action_offset),
                "action_scale": list(self.action_scale),
            },
            "latent_size": self.latent_size,
            "method": self.method,
            "policy_parameters": self.policy_parameters,
            "sampling_steps": self.sampling_steps,
            "training": self.training,
            "license": self.license,
        }
        return {METADATA_KEY: json.dumps(content)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> "ModelDescription":
        """Read it back, of this format or an earlier one.

        Raises:
            ModelError: something is missing, contradicts itself, or needs a later version.
        """
        try:
            content = content_of(metadata, where)
            if content["format"] not in FORMATS:
                known = f"{', '.join(map(str, FORMATS[:-1]))} or {FORMATS[-1]}"
                raise ModelError(f"{where}: found format {content['format']!r}, expected {known}")
            policy, contract = content["policy"], Contract.from_dict(content["contract"], where=f"{where}: contract")
            description = cls(
                contract=contract,
                conditions=_conditions(content, contract, where),
                layout=PolicyLayout(
                    tuple(policy["layer_sizes"]), policy["hidden_activation"], policy["output_activation"]
                ),
                observation_indices=tuple(policy["observation_indices"]),
                action_offset=tuple(policy["action_offset"]),
                action_scale=tuple(policy["action_scale"]),
                latent_size=int(content["latent_size"]),
                training=dict(content["training"]),
                method=str(content.get("method", cls.method)),
                policy_parameters=int(content.get("policy_parameters", 0)),
                sampling_steps=int(content.get("sampling_steps", 0)),
                license=content["license"],
            )
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, ModelError):
                raise
            kind = "" if isinstance(error, (ContractError, PolicyError)) else f"{type(error).__name__}: "
            raise ModelError(f"{where}: its metadata is broken ({kind}{error})") from error
        if description.latent_size < 1:
            raise ModelError(f"{where}: found latent_size {description.latent_size}, expected at least 1")
        if description.sampling_steps < 0:
            raise ModelError(f"{where}: found sampling_steps {description.sampling_steps}, expected 0 or more")
        if description.contract.digest != content.get("contract_digest"):
            raise ModelError(f"{where}: its contract does not have the digest that the file states")
        return description


def content_of(metadata: Mapping[str, str], where: str, key: str = METADATA_KEY) -> dict:
    """The metadata of a model file as it stands there; ModelError where the file is not ours, or `key` holds no JSON.

    Another method may have a model file of its own kind, with a `key` of its own.
    """
    if key not in metadata:
        raise ModelError(f"{where}: found no '{key}' metadata, expected a file made by 'lwd export'")
    try:
        content = json.loads(metadata[key])
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: its metadata is broken ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{where}: its metadata is broken (found {type(content).__name__}, expected a mapping)")
    return content


def _conditions(content: dict, contract: Contract, where: str) -> tuple[Condition, ...]:
    """The conditions that the metadata describe; one task, and at most one observation, of the contract's scalars."""
    if content["format"] == 1:
        given = [{"name": TASK, "kind": TASK, "names": content["tasks"]}]
        if content["condition_on_observation"]:
            given.append({"name": OBSERVATION, "kind": OBSERVATION, "names": contract.observation_names})
    else:
        given = content["conditions"]
    conditions = tuple(Condition.from_dict(each, where) for each in given)
    names, kinds = ([getattr(each, key) for each in conditions] for key in ("name", "kind"))
    if len(set(names)) < len(names) or len(set(kinds)) < len(kinds) or {NOISE, STEPS} & set(names):
        raise ModelError(
            f"{where}: found conditions {names}, expected different names and kinds, none called '{NOISE}' or '{STEPS}'"
        )
    if TASK not in kinds:
        raise ModelError(f"{where}: found conditions {names}, expected one of the kind '{TASK}' among them")
    for condition in conditions:
        if condition.kind == OBSERVATION and condition.names != contract.observation_names:
            text = f"found {len(condition.names)} scalars, expected the {len(contract.observation)} of its contract"
            raise ModelError(f"{where}: condition '{condition.name}': {text}, in their order")
    return conditions
