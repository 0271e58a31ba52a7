"""What the tests of both packages' builds share: a copy of the source tree, and commands that show why they failed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import lwd_ros

ROOT = Path(lwd_ros.__file__).parents[1]
BIN = Path(sys.executable).parent
SITE_PACKAGES = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
NODES = ("policy_generator", "policy_controller", "recorder", "simulator_bridge", "metaworld_bridge")
SOURCES = (
    *("LICENSE", "package.xml", "pyproject.toml", "setup.cfg", "setup.py"),
    *("config", "launch", "lwd_msgs", "lwd_ros", "models", "resource", "scripts"),
)


def copy_sources(to: Path) -> Path:
    """Copy what the packages are built from, so that no build writes into the checkout."""
    to.mkdir(parents=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "build"))
        else:
            shutil.copy2(ROOT / name, to / name)
    return to


def run(*command, cwd, **environment) -> str:
    """Run a command with the test environment's programs first on PATH; its standard output.

    Variables given as None are unset.
    """
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "VIRTUAL_ENV": sys.prefix,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        **environment,
    }
    environment = {name: value for name, value in environment.items() if value is not None}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def pip_install(source: Path, prefix: Path, work: Path, isolated: bool = False) -> Path:
    """Build `source` into a wheel and install it below `prefix`, beside the test environment; its site-packages.

    `isolated` builds as pip does for everybody: in an environment of its own, without what surrounds it.
    """
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options, environment = ["--no-build-isolation"], {}
    if isolated:
        options, environment = [], dict.fromkeys(("PYTHONPATH", "LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"))
    run(*pip, "wheel", *options, "--no-deps", "--wheel-dir", work / "wheel", source, cwd=work, **environment)
    (wheel,) = (work / "wheel").iterdir()
    run(*pip, "install", "--no-deps", "--ignore-installed", "--prefix", prefix, wheel, cwd=work)
    return prefix / SITE_PACKAGES
