"""Pins what a user gets: every file in the built wheel, executables where ROS looks, metadata and pins that agree."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from build_support import NODES, ROOT, copy_sources, pip_install, run
from catkin_pkg.changelog import get_changelog_from_path
from catkin_pkg.package import parse_package

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


@pytest.mark.parametrize("folder, pattern", [("launch", "*.launch.py"), ("config", "*"), ("models", "*.onnx")])
def test_share_holds_every_data_file(installed, folder, pattern):
    shipped = _relative_files(ROOT / folder, pattern)
    share = installed[0] / "share" / "lwd_ros" / folder
    assert shipped and _relative_files(share, "*") == shipped
    for name in shipped:
        assert (share / name).read_bytes() == (ROOT / folder / name).read_bytes(), name


def test_every_module_is_installed(installed):
    assert _relative_files(installed[1] / "lwd_ros", "*.py") == _relative_files(ROOT / "lwd_ros", "*.py")


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


def test_versions_agree(metadata):
    with open(ROOT / "lwd_msgs" / "pyproject.toml", "rb") as file:
        msgs = tomllib.load(file)["project"]["version"]
    newest, _, _ = next(iter(get_changelog_from_path(str(ROOT / "CHANGELOG.rst")).foreach_version()))
    found = {
        "package.xml": parse_package(str(ROOT)).version,
        "setup.py": metadata.version,
        "lwd_ros.__version__": lwd_ros.__version__,
        "CHANGELOG.rst": newest,
        "lwd_msgs/package.xml": parse_package(str(ROOT / "lwd_msgs")).version,
        "lwd_msgs/pyproject.toml": msgs,
    }
    assert len(set(found.values())) == 1, found


def test_every_ros_package_that_is_imported_is_declared():
    known = {"launch", "launch_ros"}  # not on PyPI
    for prefix in [sys.prefix, *filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(":"))]:
        known |= {path.name for path in Path(prefix).glob("share/ament_index/resource_index/packages/*")}
    imported = set()
    for path in [*(ROOT / "lwd_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    assert {"rclpy", "launch_ros", "lwd_msgs"} <= imported & known
    declared = {dependency.name for dependency in parse_package(str(ROOT)).exec_depends}
    assert imported & known - {"lwd_ros"} <= declared


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
    wanted = {_name(re.split("[;=<>~! ]", line)[0]) for line in metadata.requires + [b for b in build if b[0] != "#"]}
    assert {"onnxruntime", "torch", "pytest", "cmake"} <= wanted <= set(pins)


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
