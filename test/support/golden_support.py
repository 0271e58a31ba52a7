"""Every command that an environment executes, as one digest; and whether this machine rounds as the golden one."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from lwd_ros.environments.metaworld.scene import Scene

_GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "episodes.json").read_text(encoding="utf-8"))


def golden(key: str, found) -> None:
    """Compare with what the loops gave that the one loop replaced."""
    expected = _GOLDEN[key]
    assert found == expected, key


class Executed:
    """Digest of all commands that were executed since it was made or last asked."""

    def __init__(self):
        self._total, self.steps = hashlib.sha256(), 0

    def add(self, command: np.ndarray) -> None:
        """One more command."""
        self._total.update(np.asarray(command, dtype=np.float64).tobytes())
        self.steps += 1

    def digest(self) -> str:
        """16 hex digits."""
        return self._total.hexdigest()[:16]


def canary(contract) -> str:
    """Digest of a simulation under commands that nothing computes: the physics library and the processor alone."""
    scene, total = Scene("push-v3", contract), hashlib.sha256()
    scene.reset(100_000)
    for step in range(60):
        scene.step(np.array([0.3 * np.sin(0.1 * step), 0.2, -0.2, 1.0]))
        total.update(scene.observe().tobytes())
    weights = np.random.default_rng(0).normal(size=(18, 16)).astype(np.float32)
    total.update((scene.observe()[:18].astype(np.float32) @ weights).tobytes())
    return total.hexdigest()[:16]


@pytest.fixture(scope="session")
def golden_machine(contract):
    """Skip where another processor or library rounds otherwise: there the digests say nothing."""
    found = canary(contract)
    if found != _GOLDEN["canary"]:
        pytest.skip(f"this machine rounds otherwise: canary {found}, the golden values' is {_GOLDEN['canary']}")


@pytest.fixture
def executed(golden_machine, monkeypatch):
    """What all scenes of this process execute during a test."""
    total, step = Executed(), Scene.step

    def recorded(scene, command):
        total.add(command)
        return step(scene, command)

    monkeypatch.setattr(Scene, "step", recorded)
    return total
