"""The model file: what an ONNX file of ours says about itself. `docs/model_file.md` shows it to readers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from lwd_ros.contract import Contract, ContractError
from lwd_ros.errors import LwdError
from lwd_ros.policy import PolicyError, PolicyLayout

FORMAT = 1
METADATA_KEY = "lwd_ros"
INPUTS = ("noise", "task", "observation")
OUTPUTS = ("weights", "observation_mean", "observation_std", "observation_minimum", "observation_maximum")


class ModelError(LwdError):
    """A model file, or a request to it, cannot be used; says what was found and what was expected."""


@dataclass(frozen=True)
class ModelDescription:
    """What the metadata of a model file holds.

    Graph inputs: `noise` float32 [B, latent_size], `task` int64 [B], and where `condition_on_observation`
    `observation` float32 [B, observations] in the contract's order and units. Graph outputs: `weights` float32 [B, P]
    and the normalisation and training range that belong to them, float32 [B, inputs] each.

    `method` names how the weights come about; `policy_parameters` is what must be stored to act, where that is more
    than the layout of one policy (0: that layout).
    """

    contract: Contract
    tasks: tuple[str, ...]
    layout: PolicyLayout
    observation_indices: tuple[int, ...]
    action_offset: tuple[float, ...]
    action_scale: tuple[float, ...]
    latent_size: int
    condition_on_observation: bool
    training: dict = field(default_factory=dict)
    method: str = "latent weight diffusion"
    policy_parameters: int = 0
    license: str = "Apache-2.0"

    def __post_init__(self):
        # A multi-task network that is cut into one policy per task has more parameters than one of those policies.
        object.__setattr__(self, "policy_parameters", self.policy_parameters or self.layout.parameters)

    def to_metadata(self) -> dict[str, str]:
        """The one entry to write into an ONNX file's metadata."""
        content = {
            "format": FORMAT,
            "contract": self.contract.meaning(),
            "contract_digest": self.contract.digest,
            "tasks": list(self.tasks),
            "policy": {
                "layer_sizes": list(self.layout.layer_sizes),
                "hidden_activation": self.layout.hidden_activation,
                "output_activation": self.layout.output_activation,
                "observation_indices": list(self.observation_indices),
                "action_offset": list(self.action_offset),
                "action_scale": list(self.action_scale),
            },
            "latent_size": self.latent_size,
            "condition_on_observation": self.condition_on_observation,
            "method": self.method,
            "policy_parameters": self.policy_parameters,
            "training": self.training,
            "license": self.license,
        }
        return {METADATA_KEY: json.dumps(content)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> "ModelDescription":
        """Read it back; raises ModelError where something is missing or contradicts itself."""
        if METADATA_KEY not in metadata:
            raise ModelError(f"{where}: found no '{METADATA_KEY}' metadata, expected a file made by 'lwd export'")
        try:
            content = json.loads(metadata[METADATA_KEY])
            if content["format"] != FORMAT:
                raise ModelError(f"{where}: found format {content['format']!r}, expected {FORMAT}")
            policy = content["policy"]
            description = cls(
                contract=Contract.from_dict(content["contract"], where=f"{where}: contract"),
                tasks=tuple(content["tasks"]),
                layout=PolicyLayout(
                    tuple(policy["layer_sizes"]), policy["hidden_activation"], policy["output_activation"]
                ),
                observation_indices=tuple(policy["observation_indices"]),
                action_offset=tuple(policy["action_offset"]),
                action_scale=tuple(policy["action_scale"]),
                latent_size=int(content["latent_size"]),
                condition_on_observation=bool(content["condition_on_observation"]),
                training=dict(content["training"]),
                method=str(content.get("method", cls.method)),
                policy_parameters=int(content.get("policy_parameters", 0)),
                license=content["license"],
            )
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, ModelError):
                raise
            kind = "" if isinstance(error, (ContractError, PolicyError)) else f"{type(error).__name__}: "
            raise ModelError(f"{where}: its metadata is broken ({kind}{error})") from error
        names = all(isinstance(task, str) and task for task in description.tasks)
        if not description.tasks or not names or len(set(description.tasks)) < len(description.tasks):
            raise ModelError(f"{where}: found tasks {list(description.tasks)}, expected different names, at least one")
        if description.latent_size < 1:
            raise ModelError(f"{where}: found latent_size {description.latent_size}, expected at least 1")
        if description.contract.digest != content.get("contract_digest"):
            raise ModelError(f"{where}: its contract does not have the digest that the file states")
        return description
