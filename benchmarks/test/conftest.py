"""What the benchmarks' tests share: those of lwd_ros, and a tiny Diffusion Policy."""

import pytest
from fixtures import contract, make_policy, model_path, two_tasks  # noqa: F401
from hypothesis import settings

# The same examples on every machine, and no timing: a busy machine must not fail a test.
settings.register_profile("lwd_ros", deadline=None, derandomize=True, database=None)
settings.load_profile("lwd_ros")


@pytest.fixture(scope="session")
def tiny_model(two_tasks, tmp_path_factory):  # noqa: F811
    """The model file of a Diffusion Policy of them."""
    from diffusion_policy_support import TINY
    from lwd_benchmarks.methods.diffusion_policy.training import train_diffusion_policy

    folder = tmp_path_factory.mktemp("diffusion_policy")
    train_diffusion_policy(TINY, two_tasks, folder / "run", folder / "dp.onnx")
    return folder / "dp.onnx"
