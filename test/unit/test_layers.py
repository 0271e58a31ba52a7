"""Pins who may import whom: layers point down only, and the small processes never load the large libraries."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lwd_ros

PACKAGE = Path(lwd_ros.__file__).parent
ROOT = PACKAGE.parent

ALLOWED = {
    "contract": {"reading"},
    "policy": {"contract"},
    "control": {"contract", "policy"},
    "generator": {"contract", "policy"},
    "transforms": {"contract"},
    "dataset": {"reading", "contract", "transforms"},
    "environments": {"reading", "contract", "dataset", "policy"},
    "learning": {"reading", "contract", "policy", "dataset", "generator"},
    "evaluation": {"reading", "contract", "policy", "control", "generator", "dataset", "environments", "learning"},
    "nodes": {"reading", "contract", "policy", "control", "generator", "transforms", "environments", "dataset"},
    "demo": {
        "reading",
        "contract",
        "policy",
        "control",
        "generator",
        "dataset",
        "environments",
        "learning",
        "evaluation",
        "nodes",
    },
    "resources": set(),
    "files": set(),
    "errors": set(),
    "reading": set(),
    "cli": {
        "reading",
        "contract",
        "policy",
        "control",
        "generator",
        "dataset",
        "environments",
        "learning",
        "evaluation",
        "nodes",
        "demo",
    },
}
EVERYWHERE = {"__init__", "errors", "resources", "files"}  # lwd_ros.__version__, LwdError, share_path, written_whole

LIBRARIES = {  # all that these layers may import from outside the standard library
    "contract": {"numpy"},
    "policy": {"numpy"},
    "control": {"numpy"},
    "generator": {"numpy", "onnxruntime"},
    "transforms": {"numpy", "pytransform3d"},
    "dataset": {"numpy", "pyarrow", "rosbags", "mcap", "zstandard", "tqdm", "matplotlib"},
    "resources": {"ament_index_python"},
    "files": set(),
    "errors": set(),
    "reading": {"yaml"},
    "__init__": set(),
}
FORBIDDEN = {
    "environments": {"torch", "onnxruntime", "pydantic"},
    "learning": {"onnxruntime", "mujoco", "metaworld"},
    "nodes": {"torch", "onnxruntime", "diffusers", "onnx", "pydantic"},
}
LARGE = ("torch", "pydantic", "onnxruntime", "mujoco", "metaworld", "rclpy", "pyarrow", "pytransform3d", "mcap")


def _layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _modules(tree: ast.AST, package: tuple[str, ...]):
    """Full names of all modules that are imported anywhere below `tree`, relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield module
            if module == "lwd_ros":
                yield from (f"lwd_ros.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ("import_module", "__import__") and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = path.relative_to(ROOT).parent.parts
    return set(_modules(tree, package))


def _ours(modules: set[str]) -> set[str]:
    parts = {module.split(".")[1] for module in modules if module.startswith("lwd_ros.")}
    return {part for part in parts if not part.startswith("__")}


SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_every_layer_is_in_the_table():
    assert {_layer(path) for path in SOURCES} == set(ALLOWED) | {"__init__"}


def test_the_walk_sees_lazy_relative_and_dynamic_imports():
    tree = ast.parse("def f():\n from lwd_ros import policy\n from ..nodes import x\n import_module('torch')")
    assert set(_modules(tree, ("lwd_ros", "policy"))) == {"lwd_ros", "lwd_ros.policy", "lwd_ros.nodes", "torch"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_only(path):
    layer = _layer(path)
    modules = _imports(path)
    upward = _ours(modules) - ALLOWED.get(layer, set()) - {layer} - EVERYWHERE
    assert not upward, f"{layer} must not import {sorted(upward)}"
    outside = {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names) - {"lwd_ros"}
    if layer in LIBRARIES:
        assert outside <= LIBRARIES[layer]
    assert not outside & FORBIDDEN.get(layer, set())


SIMULATORS = {
    "metaworld|drawer|door-open|mt10|mt50": ("environments/metaworld", "demo", "nodes/metaworld_bridge.py"),
    "avoiding|cylinder|L-M-3": ("environments/avoiding", "demo"),
    "cheetah|quadruped|trot|pronk": ("environments/gaits", "environments/cheetah", "environments/quadruped"),
}


@pytest.mark.parametrize(("names", "places"), SIMULATORS.items(), ids=("metaworld", "avoiding", "gaits"))
def test_a_simulator_is_named_behind_the_seam_only(names, places):
    """Each is a folder of its own: nothing else of the package knows it or its tasks."""
    pattern = re.compile(names, re.IGNORECASE)
    elsewhere = [path for path in SOURCES if not path.relative_to(PACKAGE).as_posix().startswith(places)]
    naming = [path for path in elsewhere if pattern.search(path.read_text(encoding="utf-8"))]
    assert len(elsewhere) > 100
    assert [str(path.relative_to(PACKAGE)) for path in naming] == []


def test_rclpy_is_imported_where_nodes_live_only():
    ros = {"rclpy", "lwd_msgs", "launch_ros"}
    allowed = {"nodes", "demo", "benchmarks", "test", "launch"}
    checked = [*SOURCES, *(ROOT / "scripts").glob("*.py"), ROOT / "setup.py"]
    for path in checked:
        place = path.relative_to(ROOT).parts[1 if path.is_relative_to(PACKAGE) else 0]
        if place not in allowed:
            found = {module.split(".")[0] for module in _imports(path)} & ros
            assert not found, f"{path.relative_to(ROOT)} imports {sorted(found)}"


NODES = sorted((PACKAGE / "nodes").glob("*.py"))
PRIVATE = "rclpy_private.py"


def _own(names: str) -> bool:
    return names.startswith("_") and not names.startswith("__")


def _defined(tree: ast.AST) -> set[str]:
    """Private names that this file gives its objects: methods, and attributes that it assigns."""
    functions = {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    stores = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    return {name for name in functions | stores if _own(name)}


def test_private_members_of_rclpy_are_used_in_one_file():
    trees = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in NODES}
    ours = set().union(*(_defined(tree) for name, tree in trees.items() if name != PRIVATE))
    found = set()
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or file == PRIVATE:
                continue
            of_python = isinstance(node.value, ast.Name) and node.value.id in sys.stdlib_module_names  # os._exit
            foreign = _own(node.attr) and node.attr not in ours and not of_python
            if foreign or node.attr == "handle":  # the C++ object behind a subscription, in no documentation
                found.add((file, node.attr))
    assert not found


def _classes(paths) -> dict[str, ast.ClassDef]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    return {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


MANAGED = ("PolicyController", "PolicyGeneratorNode", "Recorder")


@pytest.mark.parametrize(
    ("ours", "theirs", "known"),
    [
        (
            {
                "ManagedNode",
                "MetaworldBridge",
                "PolicyController",
                "PolicyGeneratorNode",
                "Recorder",
                "SimulatorBridge",
            },
            {"Node", "LifecycleNodeMixin", "LifecycleNode"},
            {"_publishers", "_parameter_overrides", "_state_machine"},
        ),
        ({"ControlExecutor"}, {"SingleThreadedExecutor", "Executor"}, {"_wait_for_ready_callbacks"}),
    ],
)
def test_our_classes_hide_no_private_member_of_rclpys(ours, theirs, known):
    """Two attributes of one name on one object would be one attribute: rclpy keeps its publishers in `_publishers`."""
    rclpy = importlib.util.find_spec("rclpy")
    if rclpy is None:
        pytest.skip("rclpy is not installed")
    folder = Path(rclpy.submodule_search_locations[0])
    here, there = _classes(NODES), _classes([folder / "node.py", folder / "lifecycle/node.py", folder / "executors.py"])
    names = set().union(*(_defined(there[name]) for name in theirs))
    assert known <= names
    for name in ours:
        assert not _defined(here[name]) & names, name


def _loaded(statement: str) -> set[str]:
    """Which large libraries a fresh process holds after `statement`."""
    code = f"import sys\n{statement}\nprint(*[name for name in {LARGE!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("import lwd_ros.contract, lwd_ros.policy, lwd_ros.control, lwd_ros.resources, lwd_ros.transforms", set()),
        ("import lwd_ros.generator", {"onnxruntime"}),
        (
            "import lwd_ros.evaluation.actors, lwd_benchmarks.studies.trials",
            set(LARGE) - {"torch", "rclpy", "pytransform3d", "mcap"},
        ),
        ("import lwd_ros.cli", set()),
        ("import lwd_ros.demo", set()),
        ("import lwd_ros.nodes.policy_controller", {"rclpy"}),
        ("import lwd_ros.nodes.policy_generator", {"rclpy", "onnxruntime"}),
        ("import lwd_ros.nodes.recorder", {"rclpy"}),
    ],
)
def test_a_fresh_process_loads_nothing_large(statement, loaded):
    if "rclpy" in loaded:
        pytest.importorskip("rclpy")
    assert _loaded(statement) == loaded
