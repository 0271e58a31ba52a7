"""Pins Gymnasium environments behind a contract: names for indices, units, success, ends, what a file can get wrong."""

import pickle
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import yaml
from gymnasium import spaces

from lwd_ros.contract import Contract, ContractError
from lwd_ros.dataset import DatasetError
from lwd_ros.environments import registry
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.environment import SimulationError, require_capability
from lwd_ros.environments.gym_file import KEYS
from lwd_ros.environments.rendering import RenderError

PENDULUM = Path(__file__).resolve().parents[2] / "examples" / "inverted_pendulum" / "environment.yaml"
CONTRACT = {
    "name": "toy",
    "period_s": 0.1,
    "history": 1,
    "observation": {
        "place": {"unit": "m", "limits": [-1.0, 1.0]},
        "scan": {"unit": "m", "limits": [0.0, 9.0], "size": 3},
        "goal": {"unit": "m", "limits": [-1.0, 1.0]},
    },
    "command": {
        "speed": {"unit": "m/s", "limits": [-2.0, 2.0], "slew_per_s": 100.0},
        "target": {"unit": "m", "limits": [-1.0, 1.0], "slew_per_s": 100.0, "rest": "place"},
    },
}
FILE = {
    "id": "Toy-v0",
    "kwargs": {"most": 5},
    "period_s": 0.1,
    "episode_steps": 20,
    "success": {"info": "is_there"},
    "tasks": {"near": {}, "far": {"most": 9}},
    "task_sets": {"Both": ["near", "far"]},
    "contract": "contract.yaml",
    "observation": {
        "place": {"key": "robot", "index": 0, "scale": 0.001},
        "scan": {"key": "lidar", "index": 1},
        "goal": {"key": "robot", "index": 1, "scale": 0.001, "offset": 0.5},
    },
    "command": {"speed": 2, "target": {"index": 0, "scale": 10.0, "offset": 1.0}},
}


class Toy(gymnasium.Env):
    """A robot in mm; remembers its actions, ends after `most` steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    dt = 0.1
    observation_space = spaces.Dict(
        robot=spaces.Box(-1e3, 1e3, (2,)), lidar=spaces.Box(0, 9, (2, 2)), mode=spaces.Discrete(3)
    )
    action_space = spaces.Box(-4.0, 4.0, (3,), np.float32)

    def __init__(self, most=5, render_mode=None):
        self.most, self.render_mode = most, render_mode

    def _seen(self):
        robot = np.array([100.0, self.goal], np.float32)
        return {"robot": robot, "lidar": np.array([[1, 2], [3, 4]], np.float32), "mode": 0}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal, self.actions = self.np_random.uniform(-400, 400), []
        return self._seen(), {}

    def step(self, action):
        self.actions.append(action)
        count = len(self.actions)
        return self._seen(), 0.5, count == self.most, False, {"is_there": count >= 3, "nearness": 0.1 * count}

    def render(self):
        if self.render_mode == "rgb_array" and not self.actions:
            raise RuntimeError("no screen")
        return np.full((4, 6, 3), len(self.actions), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def registered():
    gymnasium.register("Toy-v0", entry_point=Toy, max_episode_steps=2)
    yield
    del gymnasium.registry["Toy-v0"]


@pytest.fixture
def write(tmp_path):
    """A function that writes the toy's files; keywords replace keys, dotted by `__`, and None deletes one."""

    def changed(content: dict, changes: dict) -> dict:
        content = pickle.loads(pickle.dumps(content))
        for key, value in changes.items():
            *parents, last = key.split("__")
            target = content
            for parent in parents:
                target = target[parent]
            target.pop(last, None)
            if value is not None:
                target[last] = value
        return content

    def files(in_contract: dict | None = None, **changes) -> Path:
        path = tmp_path / "toy.yaml"
        (tmp_path / "contract.yaml").write_text(yaml.safe_dump(changed(CONTRACT, in_contract or {}), sort_keys=False))
        path.write_text(yaml.safe_dump(changed(FILE, changes), sort_keys=False))
        return path

    return files


def make(path: Path, task: str = "near"):
    simulator = registry.simulator(path)
    return simulator.make(task, simulator.spec.contract())


def test_a_file_is_an_environments_spec(write):
    simulator = registry.simulator(write())
    spec = simulator.spec
    assert (spec.name, spec.tasks, spec.score) == (str(write()), ("near", "far"), "success")
    assert (spec.period_s, spec.episode_steps, spec.task_sets) == (0.1, 20, {"both": ("near", "far")})
    assert spec.contract_file == write().parent / "contract.yaml"
    assert pickle.loads(pickle.dumps(simulator)) == simulator  # it goes to other processes
    assert registry.find("both", str(write()))[1] == ("near", "far")


@pytest.mark.parametrize(
    ("tasks", "expected"), [("near", {"near": {}}), (["a", "b"], {"a": {}, "b": {}}), ({"a": None}, {"a": {}})]
)
def test_tasks_are_a_name_a_list_or_a_mapping(write, tasks, expected):
    assert registry.simulator(write(tasks=tasks, task_sets=None)).tasks == expected


def test_observations_are_named_in_the_contracts_order_and_units(write):
    environment = make(write())
    observation = environment.reset(7)
    goal = np.float32(gymnasium.utils.seeding.np_random(7)[0].uniform(-400, 400))
    assert observation.tolist() == pytest.approx([0.1, 2.0, 3.0, 4.0, 0.5 + 0.001 * goal])
    assert observation.dtype == np.float64
    assert environment.reset(8)[4] != observation[4]
    assert environment.reset(7).tolist() == observation.tolist() == environment.observe().tolist()
    assert environment.layout == 7
    environment.observe()[:] = 0.0  # a copy
    assert environment.observe().tolist() == observation.tolist()


def test_an_element_of_a_vector_may_have_a_place_of_its_own(write):
    environment = make(write(**{"observation__scan[1]": {"key": "robot", "index": 0}, "observation__scan__index": 0}))
    assert environment.reset(7)[1:4].tolist() == [1.0, 100.0, 3.0]  # the others stand where they did


def test_an_element_of_a_vector_with_a_place_of_its_own_moves_no_other(write):
    path = write(**{"observation__scan[1]": {"key": "robot", "index": 0, "scale": 0.01}})
    assert make(path).reset(7)[1:4].tolist() == pytest.approx([2.0, 1.0, 4.0])


def test_commands_become_actions_within_the_space(write):
    environment = make(write())
    environment.step(np.array([1.5, 0.2]))
    environment.step(np.array([-1.0, 0.9]))
    first, second = environment.unwrapped.actions
    assert first.dtype == np.float32 and first.tolist() == [3.0, 0.0, 1.5]
    assert second.tolist() == [4.0, 0.0, -1.0]  # 10 * 0.9 + 1 is more than the space has
    assert environment.start_command.tolist() == pytest.approx([0.0, 0.1])  # a position rests where it is measured


def test_a_contract_with_an_age_and_a_task_of_its_own(write):
    simulator = registry.simulator(write())
    environment = simulator.make("far", simulator.spec.contract().with_age(0.2))
    assert environment.reset(7)[-1] == 0.0 and len(environment.observe()) == 6
    assert environment.unwrapped.most == 9


@pytest.mark.parametrize(
    ("success", "first"),
    [
        ({"info": "is_there"}, 3),
        ({"info": "nearness", "at_least": 0.2}, 2),
        ({"return": 2.0}, 4),
        ({"return": 99.0}, None),
    ],
)
def test_success_comes_from_info_or_from_the_return_so_far(write, success, first):
    environment = make(write(success=success), "far")
    for _ in range(2):  # the second time after a reset
        environment.reset(0)
        done = [environment.step(np.zeros(2)) for _ in range(5)]
        assert done == [first is not None and step >= first for step in range(1, 6)]
    assert environment.reward == 0.5
    environment.reset(0)
    assert environment.reward == 0.0


def test_termination_ends_an_episode_and_gymnasiums_step_limit_does_not(write):
    """The toy is registered with 2 steps an episode."""
    environment = make(write())
    ended = []
    for _ in range(5):
        environment.step(np.zeros(2))
        ended.append(environment.ended)
    assert ended == [False] * 4 + [True]
    environment.reset(0)
    assert not environment.ended


def test_a_return_needs_no_success(write):
    environment = make(write(score="return", success=None))
    assert environment.spec.score == "return"
    assert not environment.step(np.zeros(2)) and environment.reward == 0.5


def test_pictures_are_drawn_by_gymnasium_where_there_is_no_mujoco(write):
    environment = make(write())
    require_capability(environment, "picture")
    with pytest.raises(SimulationError, match="found capabilities picture, expected 'render'"):
        require_capability(environment, "render")
    with pytest.raises(RenderError, match="no screen"):
        environment.picture()
    environment.step(np.zeros(2))
    assert environment.picture().shape == (4, 6, 3)
    with pytest.raises(SimulationError, match="found capabilities none"):
        require_capability(make(write(kwargs={"most": 5, "render_mode": None})), "picture")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"colour": 1}, "key 'colour': found 'colour', expected one of id, kwargs"),
        ({"id": None}, "key 'id': found 'nothing', expected a text"),
        ({"period_s": -1}, "key 'period_s': found -1, expected a finite number above 0"),
        ({"episode_steps": 0}, "key 'episode_steps': found 0, expected a whole number from 1 up"),
        ({"tasks": {}}, "key 'tasks': found 'nothing', expected a task's name"),
        ({"tasks": []}, "key 'tasks': found 'nothing', expected a task's name"),
        ({"tasks": ["a", "a"], "task_sets": None}, "key 'tasks': found 'a', expected every task once"),
        ({"tasks": ["a,b"]}, "key 'tasks': found 'a,b', expected a task's name"),
        ({"task_sets": {"none": []}}, "found no task in the set 'none', expected some"),
        ({"task_sets": {"odd": ["fly"]}}, "task 'fly' is unknown; environment "),
        ({"success": None}, "key 'success': found 'nothing', expected info: KEY or return: NUMBER"),
        ({"success": {}}, "expected either info: KEY or return: NUMBER"),
        ({"success": {"info": "a", "return": 1}}, "expected either info: KEY or return: NUMBER"),
        ({"score": "grace"}, "key 'score': found 'grace', expected one of success, return"),
        ({"observation__goal": None}, "key 'observation.goal': found nothing, expected the index of every scalar"),
        ({"observation__scan": None}, "key 'observation.scan': found nothing, expected the index of every scalar"),
        ({"observation__elbow": 1}, "key 'observation.elbow': found no such scalar, expected one of contract 'toy': "),
        (
            {"observation__goal": None, "observation__gaol": 1},
            "key 'observation.gaol': found no such scalar, expected one of",
        ),
        ({"command__speed": None}, "key 'command.speed': found nothing, expected the index"),
        ({"command__force": 1}, "key 'command.force': found no such scalar, expected one of contract 'toy': speed"),
        ({"command__speed": 0}, "key 'command.target': found 0, expected every index once"),
        ({"command__speed": -1}, "key 'command.speed': found -1, expected an index from 0 up"),
        ({"command__speed": {"key": "a", "index": 1}}, "key 'command.speed': found 'a', expected no key"),
        ({"observation__goal": {"key": "robot"}}, "key 'observation.goal.index': found 'nothing', expected an index"),
        ({"contract": None}, "key 'contract': found 'nothing', expected a text"),
    ],
)
def test_a_file_that_is_wrong_is_refused_before_gymnasium_is_asked(write, changes, sentence):
    path = write(**changes)
    with pytest.raises(SimulationError) as caught:
        registry.simulator(path)
    assert sentence in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_refused(write):
    path = write()
    path.write_text(path.read_text() + "period_s: 0.1\n")
    with pytest.raises(SimulationError, match="key 'period_s': found 2 times"):
        registry.simulator(path)


def test_a_contract_with_another_period_is_refused(write):
    with pytest.raises(ContractError, match=r"key 'period_s': found 0.05, expected 0.1, that of environment"):
        registry.simulator(write({"period_s": 0.05}))


@pytest.mark.parametrize(
    ("contract", "changes", "sentence"),
    [
        ({}, {"command__speed": 3}, "key 'command.speed': found index 3, expected one from 0 to 2"),
        ({}, {"observation__scan__index": 2}, "key 'observation.scan[2]': found index 4, expected one from 0 to 3"),
        ({}, {"observation__goal__key": "arm"}, "key 'observation.goal': found key 'arm', expected one of robot, "),
        ({}, {"observation__goal": 1}, "key 'observation.goal': found no key, expected one of "),
        ({}, {"observation__goal__key": "mode"}, "key 'observation.goal': found the space Discrete, expected a Box"),
        ({"period_s": 0.2}, {"period_s": 0.2}, "key 'period_s': found 0.2, expected 0.1, the time step of Toy-v0"),
        ({}, {"id": "Tow-v0"}, "'Tow-v0' cannot be built (NameNotFound: "),
        ({}, {"id": "nowhere_at_all:Toy-v0"}, "'nowhere_at_all:Toy-v0' cannot be built (ModuleNotFoundError: "),
        ({}, {"kwargs": {"least": 1}}, "'Toy-v0' cannot be built (TypeError: "),
    ],
)
def test_a_file_and_spaces_that_disagree_are_refused_when_it_is_built(write, contract, changes, sentence):
    with pytest.raises(SimulationError) as caught:
        make(write(contract, **changes))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_success_that_info_does_not_tell_is_refused(write):
    environment = make(write(success={"info": "is_success"}))
    with pytest.raises(SimulationError, match=r"'success.info': found 'is_success', expected one of is_there"):
        environment.step(np.zeros(2))


def test_without_gymnasium_one_sentence_says_how_to_get_it(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(SimulationError, match=r"needs the package 'gymnasium': pip install 'lwd_ros\[sim\]'"):
        make(write())


def test_an_unknown_task_and_another_robots_contract_are_refused(write, contract):
    simulator = registry.simulator(write())
    with pytest.raises(SimulationError, match=r"task 'middle' is unknown; environment .* has far, near"):
        simulator.make("middle", simulator.spec.contract())
    with pytest.raises(ContractError, match=r"'period_s': found 0.0125, expected 0.1"):
        simulator.make("near", contract)
    meaning = simulator.spec.contract().meaning()
    elbow = {**meaning, "observation": {**meaning["observation"], "elbow": {"unit": "m", "limits": [0, 1]}}}
    with pytest.raises(ContractError, match=r"'observation.elbow': found nothing like it, expected place, scan, goal"):
        simulator.make("near", Contract.from_dict(elbow))
    speedless = {**meaning, "command": {"target": meaning["command"]["target"]}}
    with pytest.raises(ContractError, match=r"'command.speed': found nothing, expected it"):
        simulator.make("near", Contract.from_dict(speedless))


def test_docs_name_every_key_and_their_example_can_be_used(tmp_path):
    text = (PENDULUM.parents[2] / "docs" / "reference" / "environments.md").read_text(encoding="utf-8")
    assert [key for key in KEYS if f"| `{key}` |" not in text] == []
    example = tmp_path / "environment.yaml"
    example.write_text(text.split("```yaml\n")[1].split("```")[0])
    (tmp_path / "contract.yaml").write_text((PENDULUM.parent / "contract.yaml").read_text())
    ours, theirs = registry.simulator(PENDULUM), registry.simulator(example)
    assert (ours.id, ours.tasks, ours.success) == (theirs.id, theirs.tasks, theirs.success)
    assert (ours.observation, ours.command) == (theirs.observation, theirs.command)
    assert make(example, "balance").observe().shape == (4,)


# A MuJoCo robot


def test_a_mujoco_environment_is_drawn_from_its_states():
    environment = make(PENDULUM, "balance")
    require_capability(environment, "render")
    assert environment.state().tolist() == environment.observe()[:2].tolist()
    try:
        renderer = environment.renderer(60, 80)
    except RenderError as error:
        pytest.skip(str(error))
    upright = renderer.draw(np.zeros(2))
    assert upright.shape == (60, 80, 3) and upright.any()
    assert (renderer.draw(np.array([0.5, 0.0])) != upright).any()
    renderer.close()


def test_the_pendulum_falls_by_itself_and_its_force_is_in_newtons():
    environment = make(PENDULUM, "balance")
    environment.reset(3)
    assert np.abs(environment.observe()).max() < 0.02
    fell = next(step for step in range(1, 100) if environment.step(np.zeros(1)) or environment.ended)
    assert 10 < fell < 60 and environment.ended
    environment.reset(3)
    environment.step(np.array([150.0]))
    assert environment.unwrapped.data.ctrl.tolist() == [1.5]


def push(observation):
    """A regulator of the pole."""
    return 100.0 * np.array([[0.741, 6.023, 0.868, 1.012]]) @ observation


def test_a_dataset_knows_the_file_that_its_environment_was_described_by(tmp_path):
    """The same file elsewhere goes on with it; another description is refused, for what is there would be lost."""
    for name in ("environment.yaml", "contract.yaml"):
        (tmp_path / name).write_text((PENDULUM.parent / name).read_text(encoding="utf-8"), encoding="utf-8")
    moved, given = tmp_path / "environment.yaml", {"workers": 1, "expert": push}

    def run(path):
        contract = registry.simulator(path).spec.contract()
        settings = CollectSettings(episodes=1, noise=(0.0, 0.0))
        return collect(tmp_path / "data", ("balance",), contract, settings, environment=path, **given)

    digest = run(PENDULUM)["digest"]
    assert run(moved)["digest"] == digest
    moved.write_text(moved.read_text(encoding="utf-8") + "kwargs: {reset_noise_scale: 0.02}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"'environment_digest' of balance: found '[0-9a-f]{64}', asked for"):
        run(moved)
