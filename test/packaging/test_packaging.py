"""Pins what a user gets: every file in the built wheel, executables where ROS looks, metadata and pins that agree."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from build_support import NODES, ROOT, copy_sources, pip_install, run
from catkin_pkg.changelog import get_changelog_from_path
from catkin_pkg.package import parse_package
from packaging.requirements import Requirement

import lwd_ros

PACKAGES = {"lwd_ros": ROOT, "lwd_msgs": ROOT / "lwd_msgs"}
DISTROS = ("jazzy", "kilted")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """(prefix, site-packages) of lwd_ros built as a wheel and installed."""
    work = tmp_path_factory.mktemp("packaging")
    return work / "prefix", pip_install(copy_sources(work / "lwd_ros"), work / "prefix", work)


@pytest.fixture(scope="module")
def metadata(installed):
    (folder,) = installed[1].glob("lwd_ros-*.dist-info")
    return PathDistribution(folder)


def _relative_files(root, pattern):
    return {str(path.relative_to(root)) for path in root.rglob(pattern) if path.is_file() and path.suffix != ".pyc"}


@pytest.mark.parametrize("folder, pattern", [("launch", "*.py"), ("config", "*"), ("models", "*.onnx")])
def test_share_holds_every_data_file(installed, folder, pattern):
    shipped = _relative_files(ROOT / folder, pattern)
    share = installed[0] / "share" / "lwd_ros" / folder
    assert shipped and _relative_files(share, "*") == shipped
    for name in shipped:
        assert (share / name).read_bytes() == (ROOT / folder / name).read_bytes(), name


def test_every_module_every_model_of_physics_and_every_gait_is_installed(installed):
    for pattern in ("*.py", "*.xml", "*.json"):
        shipped = _relative_files(ROOT / "lwd_ros", pattern)
        assert shipped and _relative_files(installed[1] / "lwd_ros", pattern) == shipped


def test_ament_finds_the_package(installed):
    prefix, _ = installed
    assert (prefix / "share/ament_index/resource_index/packages/lwd_ros").is_file()
    assert parse_package(str(prefix / "share/lwd_ros/package.xml")).name == "lwd_ros"


@pytest.mark.parametrize("node", NODES)
def test_ros_finds_each_node_and_it_hands_over_to_the_script_in_bin(installed, tmp_path, node):
    script = installed[0] / "bin" / node
    assert os.access(script, os.X_OK)
    ours = installed[0] / "lib" / "lwd_ros" / node
    assert ours.stat().st_mode & 0o777 == 0o755
    aside = script.rename(tmp_path / node)
    try:
        script.write_text('#!/bin/sh\necho "$0" "$@"\n')
        script.chmod(0o755)
        called, *arguments = run(ours, "--ros-args", "-r", "__ns:=/a b", cwd=tmp_path).split(maxsplit=3)
    finally:
        aside.rename(script)
    assert os.path.realpath(called) == str(script) and arguments == ["--ros-args", "-r", "__ns:=/a b\n"]


def test_every_console_script_loads(installed, metadata, tmp_path):
    scripts = {entry.name: entry.value for entry in metadata.entry_points if entry.group == "console_scripts"}
    assert set(scripts) == {"lwd", *NODES}
    for value in scripts.values():
        module, function = value.split(":")
        code = f"import {module} as m; assert callable(m.{function}); print(m.__file__)"
        found = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=_pythonpath(installed))
        assert found.startswith(str(installed[1])), found


def test_share_path_of_an_installed_package(installed, tmp_path):
    code = """
import sys
from lwd_ros.resources import share_path
print(share_path("config", "metaworld.yaml"))
assert not {"rclpy", "torch"} & set(sys.modules)
try:
    share_path("config", "missing.yaml")
except FileNotFoundError as error:
    print(error)
"""
    # An empty AMENT_PREFIX_PATH: pip without a sourced ROS 2.
    environment = {"PYTHONPATH": _pythonpath(installed), "AMENT_PREFIX_PATH": ""}
    found, error = run(sys.executable, "-c", code, cwd=tmp_path, **environment).splitlines()
    share = installed[0] / "share" / "lwd_ros"
    assert found == str(share / "config" / "metaworld.yaml")
    assert error == f"lwd_ros ships no config/missing.yaml; looked in {share}"


def _pythonpath(installed):
    return f"{installed[1]}:{os.environ.get('PYTHONPATH', '')}"


@pytest.mark.parametrize("name", PACKAGES)
def test_package_xml_is_valid(name):
    warnings = []
    package = parse_package(str(PACKAGES[name]), warnings=warnings)
    assert (package.name, package.package_format, package.licenses) == (name, 3, ["Apache-2.0"])
    assert not warnings
    assert (PACKAGES[name] / package.licenses[0].file).read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_versions_agree(metadata):
    with open(ROOT / "lwd_msgs" / "pyproject.toml", "rb") as file:
        msgs = tomllib.load(file)["project"]["version"]
    found = {
        f"{name}/CHANGELOG.rst": next(iter(get_changelog_from_path(str(path / "CHANGELOG.rst")).foreach_version()))[0]
        for name, path in PACKAGES.items()
    }
    found |= {
        "package.xml": parse_package(str(ROOT)).version,
        "setup.py": metadata.version,
        "lwd_ros.__version__": lwd_ros.__version__,
        "lwd_msgs/package.xml": parse_package(str(ROOT / "lwd_msgs")).version,
        "lwd_msgs/pyproject.toml": msgs,
    }
    assert len(set(found.values())) == 1, found


def _imports(path) -> set[str]:
    """Top-level names of all modules that a file imports anywhere."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(node.module.split(".")[0])
    return imported


def test_every_ros_package_that_is_imported_is_declared():
    known = {"launch", "launch_ros"}  # not on PyPI
    for prefix in [sys.prefix, *filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(":"))]:
        known |= {path.name for path in Path(prefix).glob("share/ament_index/resource_index/packages/*")}
    imported = set()
    for path in [*(ROOT / "lwd_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
        imported |= _imports(path)
    assert {"rclpy", "launch_ros", "lwd_msgs"} <= imported & known
    declared = {dependency.name for dependency in parse_package(str(ROOT)).exec_depends}
    assert imported & known - {"lwd_ros"} <= declared


DISTRIBUTIONS = {"yaml": "pyyaml", "PIL": "pillow", "distributed": "dask"}
UNDECLARED = {"ray"}  # who needs it is told how to get it
OF_RECORDINGS = (
    "bags",
)  # of commands and of the dataset layer, which import it where it is needed; test_layers.py has the rest
BASE = ("contract", "policy", "control", "generator", "resources", "cli")


@pytest.mark.parametrize(
    "extras, layers",
    [((), BASE), (("sim",), (*BASE, "dataset", "environments")), (("demo", "train", "cluster"), (*BASE, "evaluation")),
     (("train",), (*BASE, "dataset", "learning")), (("demo",), (*BASE, "environments", "demo")),
     (("tf",), (*BASE, "transforms"))],
)  # fmt: skip
def test_every_third_party_package_that_is_imported_is_declared(metadata, extras, layers):
    ros = {dependency.name for dependency in parse_package(str(ROOT)).exec_depends}
    imported = set()
    for layer in layers:
        path = ROOT / "lwd_ros" / layer
        for file in path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
            imported |= _imports(file)
    imported -= {"lwd_ros", *UNDECLARED, *ros, *sys.stdlib_module_names}
    requirements = [Requirement(text) for text in metadata.requires]
    declared = {
        r.name
        for r in requirements
        if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in (*extras, *OF_RECORDINGS))
    }
    assert {DISTRIBUTIONS.get(name, name) for name in imported} <= declared


# What each command says that needs more than the package's own requirements.
NEEDS = {
    "collect --out data": "'lwd collect' needs the package 'joblib': pip install 'lwd_ros[sim]'",
    "evaluate --model {}": "'lwd evaluate' needs the package 'joblib': pip install 'lwd_ros[sim]'",
    "study reconstruction --run r --json j": "'lwd study' is a command of the benchmarks, which are not installed: run "
    "'pip install ./benchmarks'",
    "train --config c --data d --out r": "'lwd train' needs the package 'pyarrow': pip install 'lwd_ros[train]'",
    "export --run r --out m.onnx": "'lwd export' needs the package 'onnx': pip install 'lwd_ros[train]'",
    "demo": "'lwd demo' needs the package 'rclpy': source a ROS 2",
}


def test_without_extras_each_command_names_its_own(installed, tmp_path):
    """In an environment that holds nothing but what lwd_ros requires."""
    venv, alone = tmp_path / "venv", dict.fromkeys(("PYTHONPATH", "LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"))
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    (wheel,) = (installed[0].parent / "wheel").iterdir()
    pip = (sys.executable, "-m", "pip", "--python", venv / "bin" / "python")
    run(*pip, "install", "-c", ROOT / "constraints" / "jazzy.txt", wheel, cwd=tmp_path, **alone)
    model = venv / "share" / "lwd_ros" / "models" / "metaworld_mt10_visible.onnx"
    environment = {name: value for name, value in os.environ.items() if name not in alone}
    lwd = [venv / "bin" / "lwd"]
    for command, sentence in NEEDS.items():
        arguments = command.format(model).split()
        done = subprocess.run(lwd + arguments, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith(f"lwd: {sentence}"), done.stderr
        assert len(done.stderr.splitlines()) == 1
    for command in ("baseline", "bench", "report", "study"):
        done = subprocess.run([*lwd, command, "x"], cwd=tmp_path, env=environment, capture_output=True, text=True)
        sentence = (
            f"'lwd {command}' is a command of the benchmarks, which are not installed: run 'pip install ./benchmarks'"
        )
        assert done.returncode == 2 and done.stderr.startswith(f"lwd: {sentence}"), done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert "mt10" in run(*lwd, "describe", "--model", model, cwd=tmp_path, **alone)


def test_the_benchmarks_are_a_wheel_of_their_own(tmp_path):
    source, folder = tmp_path / "benchmarks", ROOT / "benchmarks"
    shutil.copytree(
        folder, source, ignore=shutil.ignore_patterns("results", "test", "build", "*.egg-info", "__pycache__")
    )
    site = pip_install(source, tmp_path / "prefix", tmp_path)
    packaged = _relative_files(site / "lwd_benchmarks", "*")
    assert packaged == {name for name in _relative_files(folder / "lwd_benchmarks", "*") if "__pycache__" not in name}
    assert {"methods.yaml", "templates/metaworld.md.j2"} <= packaged
    (metadata,) = site.glob("lwd_benchmarks-*.dist-info")
    names = {entry.name for entry in PathDistribution(metadata).entry_points if entry.group == "lwd_ros.commands"}
    assert names == {"baseline", "bench", "report", "study"}
    required = {_name(re.split("[;=<>~! ]", line)[0]) for line in PathDistribution(metadata).requires}
    required = {re.sub(r"\[.*", "", name) for name in required} - {"lwd-ros"}
    for distro in DISTROS:
        assert required <= set(_pins(ROOT / "constraints" / f"{distro}.txt"))


def _pins(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(_name(line).split("==") for line in lines)


def _name(requirement):
    """PyPI's normal form of the name, extras dropped."""
    name, version = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(.*)", requirement).groups()
    return re.sub(r"[-_.]+", "-", name).lower() + version


@pytest.mark.parametrize("distro", DISTROS)
def test_constraints_pin_all_that_make_installs(metadata, distro):
    pins = _pins(ROOT / "constraints" / f"{distro}.txt")
    ros = _pins(ROOT / "constraints" / f"ros-{distro}.txt")
    assert {name: pins.get(name) for name in ros} == ros
    build = (ROOT / "constraints" / "build.txt").read_text().splitlines()
    lines = [line for line in metadata.requires if not _is_of_docs(line)] + [line for line in build if line[0] != "#"]
    wanted = {_name(re.split("[;=<>~! ]", line)[0]) for line in lines}
    assert {"onnxruntime", "torch", "pytest", "cmake"} <= wanted <= set(pins)


def test_constraints_pin_what_the_site_is_built_with(metadata):
    wanted = {_name(Requirement(line).name) for line in metadata.requires if _is_of_docs(line)}
    assert {"sphinx", "myst-parser"} <= wanted <= set(_pins(ROOT / "constraints" / "docs.txt"))


def _is_of_docs(line: str) -> bool:
    """Whether the extra `docs` asks for it, which is installed into an environment of its own."""
    marker = Requirement(line).marker
    return marker is not None and marker.evaluate({"extra": "docs"})


def test_lwd_msgs_is_built_with_the_pins_of_jazzy():
    with open(ROOT / "lwd_msgs" / "pyproject.toml", "rb") as file:
        requires = tomllib.load(file)["build-system"]["requires"]
    pins = _pins(ROOT / "constraints" / "jazzy.txt")
    for requirement in requires:
        name, version = _name(requirement).split("==")
        assert pins[name] == version


@pytest.mark.parametrize("argument, names", [("PYTHON=/nonexistent", "/nonexistent"), ("ROS=humble", "ROS=humble")])
def test_make_says_in_one_line_what_is_wrong(tmp_path, argument, names):
    environment = {
        key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "ROS_DISTRO")
    }
    command = ["make", "--no-print-directory", "setup", argument, f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0 and names in done.stderr.splitlines()[0], done.stderr
    assert not (tmp_path / "venv").exists()


def test_nothing_that_git_ignores_is_in_the_repository():
    """As a type checker's cache of 25 MB once was."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == ""
