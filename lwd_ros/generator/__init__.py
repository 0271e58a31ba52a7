"""From a model file to policies: the file's format and the sampler, on onnxruntime alone."""

from lwd_ros.generator.conditions import Condition, ModelError
from lwd_ros.generator.generator import PolicyGenerator, open_session
from lwd_ros.generator.model_file import ModelDescription

__all__ = ["Condition", "ModelDescription", "ModelError", "PolicyGenerator", "open_session"]
