"""What all tests share: fixtures, marks, no deadlines."""

import pytest
from fixtures import contract, make_policy, model_path, two_tasks  # noqa: F401
from hypothesis import settings

# The same examples on every machine, and no timing: a busy machine must not fail a test.
settings.register_profile("lwd_ros", deadline=None, derandomize=True, database=None)
settings.load_profile("lwd_ros")


_WITH_NODES = ("test_nodes_", "test_robots", "test_demo", "test_rclpy_private")


def pytest_collection_modifyitems(items):
    """Mark the tests that start real nodes, by their files: `make test` runs the others beside them."""
    for item in items:
        if item.path.name.startswith(_WITH_NODES):
            item.add_marker(pytest.mark.nodes)
