"""Sampling policies from a model file with onnxruntime: one thread, deterministic, no torch."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from lwd_ros.generator.conditions import OBSERVATION, TASK, ModelError, tensors
from lwd_ros.generator.model_file import NOISE, OUTPUTS, STEPS, ModelDescription, content_of
from lwd_ros.policy import Policy, PolicyError


def open_session(path: Path) -> tuple[onnxruntime.InferenceSession, str]:
    """A session of one thread, and the file's SHA-256; ModelError where the file is missing or not whole."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); expected a model file (.onnx)") from error
    options = onnxruntime.SessionOptions()
    # The defaults use every core and spin between calls, which starves a control loop beside them.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        # Names and metadata are decoded when they are asked for; in a spoilt file they may not be text.
        session.get_modelmeta().custom_metadata_map, [*session.get_inputs(), *session.get_outputs()]
    except Exception as error:  # onnxruntime's own exceptions share no narrower base class
        reason = str(error).split("\n")[0][:160]
        raise ModelError(f"{path}: is not a whole ONNX file ({len(content)} bytes; {reason})") from error
    return session, hashlib.sha256(content).hexdigest()


class PolicyGenerator:
    """A loaded model file.

    Attributes:
        path: the file.
        description: what it says about itself.
        metadata: the same as it stands in the file, plain data.
        digest: SHA-256 of the file, 64 hex digits.
        sampling_steps: so many are taken for a policy; 0: the graph has them built in, or samples nothing.
    """

    def __init__(self, path: str | Path, sampling_steps: int = 0):
        """Load and check a model file and sample once, so that the first request is as fast as the others.

        Args:
            path: of the file.
            sampling_steps: of the latent, instead of what the file says; 0: that.

        Raises:
            ModelError: the file is missing, truncated or not one of ours, or its steps cannot be chosen.
        """
        self.path = Path(path)
        self._session, self.digest = open_session(self.path)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.description = ModelDescription.from_metadata(metadata, str(path))
        self.metadata = content_of(metadata, str(path))
        usual = self.description.sampling_steps
        if sampling_steps < 0 or (sampling_steps and not usual):
            why = "a number above 0" if usual else "none: this file has its steps built in"
            raise ModelError(f"{path}: found {sampling_steps} sampling steps, expected {why}")
        self.sampling_steps = sampling_steps or usual
        expected = {NOISE, *(condition.name for condition in self.description.conditions)}
        expected |= {STEPS} if usual else set()
        found = {item.name for item in self._session.get_inputs()}
        if found != expected or {item.name for item in self._session.get_outputs()} != set(OUTPUTS):
            raise ModelError(f"{path}: found inputs {sorted(found)}, expected {sorted(expected)}")
        middle = np.array([0.5 * (s.minimum + s.maximum) for s in self.description.contract.observation])
        self.generate(self.description.tasks[0], 1, middle)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that policies can be generated for."""
        return self.description.tasks

    def generate(self, conditions: str | Mapping, seed: int, observation: np.ndarray | None = None) -> Policy:
        """Sample one policy. The same model, conditions and seed give the same weights.

        `generate("pick", 1, observation)` is short for
        `generate({"task": "pick", "observation": observation}, 1)`, but that it leaves out an observation
        that the model is not conditioned on.

        Args:
            conditions: a value for each of the description's conditions by name, or one of `tasks`.
            seed: of the latent noise, 1 to 2**64 - 1.
            observation: beside a task's name: numbers in the contract's order and units.

        Raises:
            ModelError: a condition is missing, unknown or of another shape, or the weights are not usable.
        """
        description = self.description
        if isinstance(conditions, Mapping):
            values = dict(conditions)
            if observation is not None:
                raise ModelError("found an observation beside a mapping of conditions, expected it in the mapping")
        else:
            given = {TASK: conditions, OBSERVATION: observation}
            values = {each.name: given[each.kind] for each in description.conditions}
        feed = tensors(description.conditions, values, self.path.name)
        task = values[description.task_condition.name]
        noise = np.random.default_rng(seed).standard_normal((1, description.latent_size), dtype=np.float32)
        feed[NOISE] = noise
        if self.sampling_steps:
            feed[STEPS] = np.array([self.sampling_steps], dtype=np.int64)
        try:
            decoded = dict(zip(OUTPUTS, self._session.run(list(OUTPUTS), feed), strict=True))
        except Exception as error:  # onnxruntime's own exceptions share no narrower base class
            reason = str(error).split("\n")[0][:160]
            raise ModelError(f"{self.path.name}: its graph does not fit its metadata ({reason})") from error
        latent = hashlib.sha256(self.digest.encode())
        for name in sorted(feed):
            latent.update(name.encode() + feed[name].tobytes())
        try:
            return Policy(
                layout=description.layout,
                observation_indices=np.array(description.observation_indices),
                action_offset=np.array(description.action_offset),
                action_scale=np.array(description.action_scale),
                contract_digest=description.contract.digest,
                model_digest=self.digest,
                latent_digest=latent.hexdigest(),
                task=task,
                seed=int(seed),
                **{name: value[0] for name, value in decoded.items()},
            )
        except PolicyError as error:
            raise ModelError(f"{self.path.name} decoded a policy that must not run: {error}") from error


def draw_seed() -> int:
    """A fresh seed, 1 to 2**63 - 1, for requests that name none."""
    return int(np.random.default_rng().integers(1, 2**63))
