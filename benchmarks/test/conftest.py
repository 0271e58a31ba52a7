"""What the benchmarks' tests share: those of lwd_ros, and a tiny Diffusion Policy."""

from pathlib import Path

import pytest
from fixtures import contract, make_policy, model_path, two_tasks  # noqa: F401
from hypothesis import settings

HERE = Path(__file__).parent

# The same examples on every machine, and no timing: a busy machine must not fail a test.
settings.register_profile("lwd_ros", deadline=None, derandomize=True, database=None)
settings.load_profile("lwd_ros")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Coverage is of what the tests of `lwd_ros` itself reach: tracing would make these a quarter slower."""
    plugin = item.config.pluginmanager.getplugin("_cov")  # of pytest-cov, where coverage is asked for
    if plugin is None or HERE not in item.path.parents:  # this hook is called for every test
        return (yield)
    plugin.cov_controller.pause()
    try:
        return (yield)
    finally:
        plugin.cov_controller.resume()


@pytest.fixture(scope="session")
def tiny_model(two_tasks, tmp_path_factory):  # noqa: F811
    """The model file of a Diffusion Policy of them."""
    from diffusion_policy_support import TINY
    from lwd_benchmarks.methods.diffusion_policy.training import train_diffusion_policy

    folder = tmp_path_factory.mktemp("diffusion_policy")
    train_diffusion_policy(TINY, two_tasks, folder / "run", folder / "dp.onnx")
    return folder / "dp.onnx"
