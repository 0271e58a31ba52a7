"""What all tests share: fixtures, marks, no deadlines."""

from fixtures import contract, make_policy, model_path, two_tasks  # noqa: F401
from hypothesis import settings

# The same examples on every machine, and no timing: a busy machine must not fail a test.
settings.register_profile("lwd_ros", deadline=None, derandomize=True, database=None)
settings.load_profile("lwd_ros")

TIERS = ("unit", "nodes", "packaging", "training")


def pytest_collection_modifyitems(items):
    """Mark each test with its tier, which is the name of its folder."""
    for item in items:
        if item.path.parent.name in TIERS:
            item.add_marker(item.path.parent.name)
