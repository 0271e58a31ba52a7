"""Pins the study of what training chooses: its file, what it goes on with, what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pytest
from lwd_benchmarks.own.choices import Choices, ChoicesError, base_config, run
from lwd_benchmarks.peers.judging import Judge

from lwd_ros.contract import Contract
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.episode import absolute
from lwd_ros.environments.registry import simulator

ROOT = Path(__file__).resolve().parents[2]
ARM = ROOT / "examples/planar_arm"
SMALL = {
    "steps": {"autoencoder.steps": 2, "diffusion.steps": 2},
    "demonstrations": 2,
    "episodes": 1,
    "rows": [{"title": "as chosen"}, {"title": "narrow", "changes": {"hidden_layers": [4, 4]}}],
    "robots": {"planar_arm": {"title": "a planar arm", "environment": "examples/planar_arm/environment.yaml"}},
}


@pytest.fixture
def arm(monkeypatch, tmp_path):
    """The planar arm's simulator, and a dataset of two demonstrations a task."""
    monkeypatch.syspath_prepend(ARM)
    found = simulator(ARM / "environment.yaml")
    settings = CollectSettings(episodes=2)
    collect(tmp_path / "data", found.spec.tasks, found.spec.contract(), settings, 1, found, "planar_arm:expert")
    return found, Demonstrations(tmp_path / "data")


def test_the_committed_file_reads_and_a_wrong_key_is_named(tmp_path):
    study = Choices.load(ROOT / "benchmarks/config/study/choices.yaml")
    assert not study.rows[0].changes and len({row.title for row in study.rows}) == len(study.rows)
    (tmp_path / "c.yaml").write_text("steps: {}\n")
    with pytest.raises(ChoicesError, match=r"c\.yaml: key 'demonstrations'"):
        Choices.load(tmp_path / "c.yaml")


def test_a_row_is_made_once_and_other_demonstrations_are_refused(arm, tmp_path):
    _, data = arm
    study, path = Choices.model_validate(SMALL), tmp_path / "r.json"
    given = ("planar_arm", data.folder, tmp_path / "state", path, 1)
    first = run(study.model_copy(update={"rows": study.rows[1:]}), *given)
    assert [row["title"] for row in first["rows"]] == ["narrow"] and first["rows"][0]["parameters"] < 100
    found = run(study, *given)
    assert [row["title"] for row in found["rows"]] == ["as chosen", "narrow"] and found["rows"][1] == first["rows"][0]
    assert base_config(study, data).held_out == 0.0
    path.write_text(json.dumps(found | {"data_digest": "0" * 64}))
    with pytest.raises(ChoicesError, match="made with another 'data_digest'"):
        run(study, *given)
    with pytest.raises(ChoicesError, match="found robot 'nobody', expected one of planar_arm"):
        run(study, "nobody", *given[1:])


class _Data(NamedTuple):
    """What a judge needs of a dataset."""

    tasks: tuple[str, ...]
    contract: Contract


class _Reaching:
    """Commands where the joints shall be, as a policy of lerobot does: the last targets of a demonstration."""

    due, queries = False, 0

    def __init__(self, targets: np.ndarray):
        self._targets = targets

    def begin(self, task: str, seed: int) -> None:
        self._rows = iter(self._targets)

    def see(self, observation: np.ndarray, time_s: float, stamp_s: float) -> None: ...

    def query(self) -> None: ...

    def adopt(self, stood_still: bool = False) -> None: ...

    def command(self) -> np.ndarray:
        return next(self._rows, self._targets[-1])


def test_peers_command_positions_also_where_the_contract_has_offsets(arm):
    found, data = arm
    plain = data.contract
    joints = tuple(
        replace(scalar, relative_to="command" if scalar.name.startswith("q") else None) for scalar in plain.command
    )
    contract = replace(plain, command=joints)
    episode = data.episodes["reach"][0]
    judge = Judge(found, cast(Demonstrations, _Data(("reach",), contract)), 1, 1)
    layouts, actor = range(episode.layout, episode.layout + 1), _Reaching(episode.action)
    assert judge._outcomes(actor, layouts, absolute(contract))["reach"][0].success
    assert not judge._outcomes(actor, layouts, contract)["reach"][0].success
