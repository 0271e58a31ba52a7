"""Pins environments by name: what tasks mean on the command line, what a spec refuses, what needs no simulator."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lwd_ros.contract import Contract, ContractError
from lwd_ros.environments import registry
from lwd_ros.environments.environment import CAPABILITIES, EnvironmentSpec, SimulationError, require_capability
from lwd_ros.resources import share_path

PENDULUM = Path(__file__).resolve().parents[2] / "examples" / "inverted_pendulum" / "environment.yaml"
MT10 = registry.simulator("metaworld").spec.task_sets["mt10"]


def spec(**changes) -> EnvironmentSpec:
    values = {
        "name": "moon",
        "tasks": ("land", "reach-v3"),
        "contract_file": share_path("config", "metaworld.yaml"),
        "period_s": 0.0125,
        "episode_steps": 10,
    }
    return EnvironmentSpec(**(values | changes))


class Moon:
    """A simulator of another distribution; it shares the name of one task with Metaworld."""

    spec = spec()

    def make(self, task, contract):
        raise NotImplementedError


MOON = Moon()


@pytest.fixture
def plugged(monkeypatch):
    """A function that registers entry points by name."""

    def plug(**values):
        entries = [EntryPoint(name, value, registry.GROUP) for name, value in values.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == registry.GROUP else [])

    monkeypatch.setitem(sys.modules, "test_registry", sys.modules[__name__])
    return plug


@pytest.mark.parametrize(
    ("tasks", "environment", "expected"),
    [
        ("metaworld/mt10", "", MT10),
        ("mt10", "", MT10),
        ("MT10", "", MT10),
        ("mt10", "metaworld", MT10),
        ("metaworld/drawer-open-v3,metaworld/reach-v3", "", ("drawer-open-v3", "reach-v3")),
        ("metaworld/drawer-open-v3, reach-v3", "", ("drawer-open-v3", "reach-v3")),
        ("drawer-open-v3,reach-v3", "", ("drawer-open-v3", "reach-v3")),
        ("drawer-open-v3,drawer-open-v3", "", ("drawer-open-v3", "drawer-open-v3")),
        ("metaworld/all", "", registry.simulator("metaworld").spec.tasks),
        ("all", str(PENDULUM), ("balance",)),
        (f"{PENDULUM}/balance", "", ("balance",)),
    ],
)
def test_what_a_list_of_tasks_means(tasks, environment, expected):
    simulator, found = registry.find(tasks, environment)
    assert found == expected
    assert simulator.spec.name == (str(PENDULUM) if "balance" in expected else "metaworld")


@pytest.mark.parametrize(
    ("tasks", "environment", "sentence"),
    [
        ("", "", "found no task, expected names separated by commas"),
        (" , ", "", "found no task, expected names separated by commas"),
        (
            "juggle-v3",
            "",
            "task 'juggle-v3': found in no environment, expected one of avoiding, cheetah, metaworld, quadruped to "
            "have them",
        ),
        ("metaworld/juggle-v3", "", "task 'juggle-v3' is unknown; environment 'metaworld' has "),
        ("drawr-open-v3", "", "; did you mean 'metaworld/drawer-open-v3'?"),
        ("reach-v3,drawr-open-v3", "", "; did you mean 'metaworld/drawer-open-v3'?"),
        ("balance", "", ", or --environment with the path of a YAML file"),
        ("all", "", "found in the environments avoiding, cheetah, metaworld, quadruped; name one, as in avoiding/TASK"),
        ("metaworld/mt5", "", "; did you mean 'mt50'?"),
        (
            "mars/mt10",
            "",
            "environment 'mars': found no such, expected avoiding, cheetah, metaworld, quadruped, or the path of a "
            "YAML file",
        ),
        ("reach-v3", "metaworld/mt10", "YAML file; did you mean 'metaworld', and its task 'mt10'?"),
        ("metaworld/mt10,mars/all", "", "tasks of 2 environments: found metaworld, mars, expected one"),
        ("mars/mt10", "metaworld", "tasks of 2 environments: found metaworld, mars, expected one"),
        ("mt10,reach-v3", "metaworld", "task 'mt10' is unknown"),
        ("all", "nowhere.yaml", "nowhere.yaml: cannot be read (No such file or directory)"),
    ],
)
def test_tasks_that_mean_nothing_are_refused_in_one_sentence(tasks, environment, sentence):
    with pytest.raises(SimulationError) as caught:
        registry.find(tasks, environment)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_an_environment_of_another_distribution_is_found_by_its_entry_point(plugged):
    plugged(moon="test_registry:MOON", made="test_registry:Moon")
    assert registry.names() == ("avoiding", "cheetah", "metaworld", "quadruped", "made", "moon")
    assert registry.simulator("moon") is MOON
    assert isinstance(registry.simulator("made"), Moon)
    assert registry.find("moon/land")[0] is MOON


def test_tasks_that_several_environments_have_need_a_name(plugged):
    plugged(moon="test_registry:MOON")
    assert registry.find("land")[0] is MOON
    assert registry.simulator_of(("drawer-open-v3", "reach-v3")).spec.name == "metaworld"
    assert registry.simulator_of(("reach-v3",), "moon") is MOON
    assert registry.simulator_of(("reach-v3",), MOON) is MOON
    for ask in (lambda: registry.find("reach-v3"), lambda: registry.simulator_of(("reach-v3",))):
        with pytest.raises(SimulationError, match="'reach-v3': found in the environments metaworld, moon; name one"):
            ask()
    with pytest.raises(SimulationError, match="tasks land, push-v3: found in no environment, expected one of"):
        registry.simulator_of(("land", "push-v3"))
    with pytest.raises(SimulationError, match="task 'push-v3' is unknown; environment 'moon' has land, reach-v3"):
        registry.simulator_of(("push-v3",), MOON)


def test_a_distribution_that_is_broken_is_named_and_harms_no_other(plugged):
    plugged(gone="nowhere.at_all:SIMULATOR")
    assert registry.find("mt10")[1] == MT10
    with pytest.raises(SimulationError, match=r"'gone': nowhere.at_all:SIMULATOR cannot be loaded \(ModuleNot"):
        registry.simulator("gone")
    with pytest.raises(SimulationError, match=r"task 'land': found in no environment.*; not loaded: gone"):
        registry.find("land")


def test_two_environments_of_one_name_are_refused(plugged):
    plugged(metaworld="test_registry:MOON")
    with pytest.raises(SimulationError, match=r"'metaworld': found twice \(test_registry:MOON\), expected every name"):
        registry.names()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tasks": ()}, "found no task, expected at least one"),
        ({"tasks": ("land", "land")}, "found task 'land' twice, expected every task once"),
        ({"task_sets": {"easy": ()}}, "found no task in the set 'easy', expected some"),
        ({"task_sets": {"easy": ("fly",)}}, "task 'fly' is unknown; environment 'moon' has land"),
        ({"reverses": {"land": "start"}}, "task 'start' is unknown"),
        ({"example": "fly"}, "task 'fly' is unknown"),
        ({"period_s": 0.0}, "found period 0.0 s, expected one above 0"),
        ({"episode_steps": 0}, "found 0 steps an episode, expected at least 1"),
        ({"score": "grace"}, "found score 'grace', expected success or return"),
    ],
)
def test_a_spec_that_says_nothing_is_refused(changes, sentence):
    with pytest.raises(SimulationError) as caught:
        spec(**changes)
    assert sentence in str(caught.value)


def test_a_spec_and_its_contract_that_disagree_are_refused():
    assert spec().contract() == Contract.load(share_path("config", "metaworld.yaml"))
    with pytest.raises(ContractError, match=r"'period_s': found 0.0125, expected 0.02, that of environment 'moon'"):
        spec(period_s=0.02).contract()


def test_what_an_environment_is_asked_for_it_must_have():
    class Bare:
        spec = MOON.spec

    for name in CAPABILITIES:
        with pytest.raises(SimulationError, match=f"environment 'moon': found capabilities none, expected '{name}'"):
            require_capability(Bare(), name)


def test_metaworlds_scenes_have_what_they_are_asked_for(contract):
    scene = registry.simulator("metaworld").make("drawer-open-v3", contract)
    for name in ("expert", "take over", "leave", "disturb", "render"):
        require_capability(scene, name)
    with pytest.raises(
        SimulationError, match="found capabilities expert, ways, take over, leave, disturb, render, expected"
    ):
        require_capability(scene, "picture")
    assert scene.sharing() == ("drawer-close-v3", "drawer-open-v3")
    assert scene.start_command.tolist() == [0.0, 0.0, 0.0, -1.0]
    scene.close()


def test_tasks_are_known_without_any_simulator():
    code = f"""
import sys
from lwd_ros.environments import registry
registry.find("mt10"), registry.find("metaworld/all"), registry.find("all", {str(PENDULUM)!r})
print(*[name for name in ("mujoco", "metaworld", "gymnasium") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
