"""What all tests share: fixtures, marks, no deadlines."""

from fixtures import contract, make_policy, model_path, two_tasks  # noqa: F401
from hypothesis import settings

# The same examples on every machine, and no timing: a busy machine must not fail a test.
settings.register_profile("lwd_ros", deadline=None, derandomize=True, database=None)
settings.load_profile("lwd_ros")

TIERS = ("unit", "nodes", "packaging", "training", "journeys")
# Files that take minutes come first: at the end, nothing would be left to run beside them.
LONGEST = (
    "test_lwd_msgs_build.py",
    "test_tutorial.py",
    "test_comparison.py",
    "test_packaging.py",
    "test_pipeline.py",
    "test_devices.py",
)


def pytest_collection_modifyitems(items):
    """Mark each test with its tier, which is the name of its folder; the longest files first."""
    for item in items:
        if item.path.parent.name in TIERS:
            item.add_marker(item.path.parent.name)
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
