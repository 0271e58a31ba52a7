"""Pins model file -> policy: the shipped file, determinism, one thread, a plain sentence for every unusable file."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.contract import Contract
from lwd_ros.generator import Condition, ModelDescription, ModelError, PolicyGenerator
from lwd_ros.generator.conditions import requested
from lwd_ros.generator.generator import draw_seed
from lwd_ros.generator.model_file import FORMAT, METADATA_KEY
from lwd_ros.policy import PolicyLayout
from lwd_ros.resources import share_path


@pytest.fixture(scope="module")
def generator(model_path):
    return PolicyGenerator(model_path)


@pytest.fixture(scope="module")
def hidden_path():
    """A shipped model file that is conditioned on an observation."""
    return share_path("models", "metaworld_mt10_hidden.onnx")


def test_the_shipped_model_is_for_the_shipped_contract_and_its_policies_run(generator, contract):
    assert generator.description.contract.digest == contract.digest
    assert len(generator.tasks) == 10
    middle = np.array([0.5 * (s.minimum + s.maximum) for s in contract.observation])
    for task in generator.tasks:
        policy = generator.generate(task, 3)
        policy.require_contract(contract)
        policy.warm_up(middle)
        assert (policy.task, policy.seed, policy.model_digest) == (task, 3, generator.digest)
        assert policy.layout == generator.description.layout
        assert (policy.observation_minimum <= policy.observation_mean).all()
        assert (policy.observation_mean <= policy.observation_maximum).all()


def test_the_description_names_what_a_reader_needs(generator):
    training = generator.description.training
    assert generator.description.license == "Apache-2.0"
    assert len(training["data_digest"]) == 64
    assert isinstance(training["config"]["seed"], int)
    assert {"lwd_ros", "torch", "onnx", "diffusers", "numpy", "python"} <= set(training["versions"])


def test_one_model_task_and_seed_give_one_policy(generator, model_path):
    other = PolicyGenerator(model_path)
    for task in generator.tasks[:3]:
        first, second = generator.generate(task, 42), other.generate(task, 42)
        assert first.weights.tobytes() == second.weights.tobytes()
        assert first.policy_id == second.policy_id
        assert first.latent_digest == second.latent_digest


def test_seeds_and_tasks_give_different_policies(generator):
    seeds = [1, 2, 3, 2**63 - 1, 2**64 - 1]
    policies = [generator.generate(task, seed) for task in generator.tasks[:2] for seed in seeds]
    assert len({policy.policy_id for policy in policies}) == len(policies)
    assert len({policy.weights.tobytes() for policy in policies}) == len(policies)
    assert len({policy.latent_digest for policy in policies}) == len(policies)


def test_drawn_seeds_fit_the_service_and_never_mean_draw_one():
    seeds = [draw_seed() for _ in range(100)]
    assert len(set(seeds)) == 100
    assert all(0 < seed < 2**63 for seed in seeds)


def test_an_unknown_task_lists_the_known_ones(generator):
    with pytest.raises(ModelError) as caught:
        generator.generate("juggle-v3", 1)
    assert all(name in str(caught.value) for name in ("juggle-v3", *generator.tasks))


def test_sampling_uses_the_calling_thread_alone(model_path):
    code = (
        "import os, sys\n"
        "from lwd_ros.generator import PolicyGenerator\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "generator = PolicyGenerator(sys.argv[1])\n"
        "for seed in range(1, 5): generator.generate(generator.tasks[0], seed)\n"
        "print(before, len(os.listdir('/proc/self/task')))\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    result = subprocess.run(
        [sys.executable, "-c", code, str(model_path)], env=environment, capture_output=True, text=True, check=True
    )
    before, after = result.stdout.split()
    assert after == before


# Files that cannot be used


def _refused(path) -> str:
    with pytest.raises(ModelError) as caught:
        PolicyGenerator(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text and len(text) < 600
    return text.removeprefix(f"{path}: ")


def _saved(model: onnx.ModelProto, path):
    onnx.save(model, str(path))
    return path


def test_a_missing_file(tmp_path):
    assert "cannot be read (No such file" in _refused(tmp_path / "nothing.onnx")
    assert "cannot be read (Is a directory" in _refused(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_or_empty_file(tmp_path, model_path, share):
    content = model_path.read_bytes()
    path = tmp_path / "model.onnx"
    path.write_bytes(content[: int(share * len(content))])
    text = _refused(path)
    assert "is not a whole ONNX file" in text or f"no '{METADATA_KEY}' metadata" in text


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2677892\n")
    assert "is not a whole ONNX file (69 bytes" in _refused(path)


def test_an_onnx_file_of_somebody_else(tmp_path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "other", [value], [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    assert "found no 'lwd_ros' metadata, expected a file made by" in _refused(_saved(model, tmp_path / "other.onnx"))


def _delete(key):
    return lambda content: content.pop(key)


def _set(value, *path):
    def change(content):
        *parents, last = path
        for part in parents:
            content = content[part]
        content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_set(FORMAT + 1, "format"), f"found format {FORMAT + 1}, expected 1, 2 or {FORMAT}"),
        (_set(-1, "sampling_steps"), "found sampling_steps -1, expected 0 or more"),
        (_set(20, "sampling_steps"), "found inputs ['noise', 'task'], expected ['noise', 'sampling_steps', 'task']"),
        (_set("0" * 64, "contract_digest"), "its contract does not have the digest that the file states"),
        (_delete("contract_digest"), "its contract does not have the digest that the file states"),
        (_set(0.02, "contract", "period_s"), "its contract does not have the digest that the file states"),
        (_set(-1, "contract", "period_s"), "key 'period_s': found -1, expected a finite number above 0"),
        (_delete("tasks"), "its metadata is broken (KeyError: 'tasks')"),
        (_set([], "tasks"), "found tasks [], expected different names"),
        (_set(["a", "a"], "tasks"), "found tasks ['a', 'a'], expected different names"),
        (_set([1], "tasks"), "found tasks [1], expected different names"),
        (_set([21, 16, 4], "policy", "layer_sizes"), "weights: found shape (692,), expected (420,)"),
        (_set([21.5, 16, 16, 4], "policy", "layer_sizes"), "layer_sizes: found [21.5, 16, 16, 4]"),
        (_set("gelu", "policy", "hidden_activation"), "hidden_activation: found 'gelu'"),
        (_set([0] * 21, "policy", "observation_indices"), "observation_indices: found repeated"),
        (_set([0.5] * 21, "policy", "observation_indices"), "observation_indices: found values of type float64"),
        (_set(["x"] * 4, "policy", "action_scale"), "action_scale: found values of type"),
        (_set(65, "latent_size"), "its graph does not fit its metadata"),
        (_set(0, "latent_size"), "found latent_size 0, expected at least 1"),
        (
            _set(True, "condition_on_observation"),
            "found inputs ['noise', 'task'], expected ['noise', 'observation', 'task']",
        ),
    ],
)
def test_metadata_that_contradicts_itself_or_the_graph(tmp_path, model_path, change, expected):
    model = onnx.load(str(model_path))
    content = json.loads(model.metadata_props[0].value)
    change(content)
    model.metadata_props[0].value = json.dumps(content)
    path = _saved(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError) as caught:
        PolicyGenerator(path)
    assert expected in str(caught.value)
    assert "model.onnx" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{}", '{"format": 1}'])
def test_metadata_that_is_not_a_description(text):
    with pytest.raises(ModelError, match="its metadata is broken"):
        ModelDescription.from_metadata({METADATA_KEY: text}, "m.onnx")


def test_a_task_beyond_the_graph_is_a_model_error(tmp_path, model_path):
    model = onnx.load(str(model_path))
    content = json.loads(model.metadata_props[0].value)
    content["tasks"].append("eleventh")
    model.metadata_props[0].value = json.dumps(content)
    generator = PolicyGenerator(_saved(model, tmp_path / "model.onnx"))
    with pytest.raises(ModelError, match="its graph does not fit its metadata"):
        generator.generate("eleventh", 1)


def test_weights_that_are_not_finite_are_a_model_error(tmp_path, model_path):
    model = onnx.load(str(model_path))
    for tensor in model.graph.initializer:
        if tensor.name.endswith("hypernetwork.base"):
            values = onnx.numpy_helper.to_array(tensor).copy()
            values[0] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
            break
    else:
        pytest.fail("the model file has no hypernetwork.base")
    path = _saved(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="decoded a policy that must not run: weights: found 1 non-finite"):
        PolicyGenerator(path)


# Named conditions


def _rewritten(model_path, path, change=lambda content: None, rename=None):
    """A shipped file with the metadata of the present format, changed; `rename` gives an input another name."""
    model = onnx.load(str(model_path))
    entry = model.metadata_props[0]
    description = ModelDescription.from_metadata({METADATA_KEY: entry.value}, "m.onnx")
    content = json.loads(description.to_metadata()[METADATA_KEY])
    change(content)
    entry.value = json.dumps(content)
    for old, new in (rename or {}).items():
        for item in model.graph.input:
            item.name = new if item.name == old else item.name
        for node in model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
    return _saved(model, path)


def test_a_file_of_the_first_format_is_read_as_one_of_today(generator, model_path, tmp_path):
    assert generator.metadata["format"] == 1 and "conditions" not in generator.metadata
    assert generator.description.conditions == (Condition("task", "task", generator.tasks),)
    today = PolicyGenerator(_rewritten(model_path, tmp_path / "today.onnx"))
    assert today.metadata["format"] == FORMAT == 3
    assert today.description == generator.description
    old, new = (each.generate(generator.tasks[0], 7) for each in (generator, today))
    assert old.weights.tobytes() == new.weights.tobytes()


def test_conditions_are_given_by_their_names(hidden_path, tmp_path):
    generator = PolicyGenerator(hidden_path)
    observation = np.linspace(-0.1, 0.4, 21)
    short = generator.generate(generator.tasks[1], 5, observation)
    named = generator.generate({"observation": observation, "task": generator.tasks[1]}, 5)
    assert short.policy_id == named.policy_id and short.latent_digest == named.latent_digest
    names = generator.description.contract.observation_names
    conditions = [Condition("skill", "task", generator.tasks), Condition("seen", "observation", names)]
    content = {"conditions": [condition.to_dict() for condition in conditions]}
    other = PolicyGenerator(
        _rewritten(
            hidden_path,
            tmp_path / "named.onnx",
            lambda description: description.update(content),
            {"task": "skill", "observation": "seen"},
        )
    )
    policy = other.generate({"skill": other.tasks[1], "seen": observation.tolist()}, 5)
    assert policy.weights.tobytes() == named.weights.tobytes() and policy.task == named.task
    assert other.generate(other.tasks[1], 5, observation).policy_id == policy.policy_id
    with pytest.raises(ModelError, match=r"condition 'task' is unknown to named.onnx; it takes skill, seen"):
        other.generate({"task": other.tasks[1], "seen": observation}, 5)
    with pytest.raises(ModelError, match=r"conditioned on an observation \('seen'\): found 0 finite"):
        other.generate({"skill": other.tasks[1]}, 5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "is conditioned on a task: found none, expected one of reach-v3"),
        ({"observation": np.zeros(21)}, "is conditioned on a task: found none, expected one of reach-v3"),
        ({"task": "juggle-v3", "observation": np.zeros(21)}, "task 'juggle-v3' is unknown to"),
        ({"task": 3, "observation": np.zeros(21)}, "task 3 is unknown to"),
        ({"task": ["reach-v3"], "observation": np.zeros(21)}, r"task ['reach-v3'] is unknown to"),
        ({"task": "reach-v3"}, "is conditioned on an observation: found 0 finite scalars in shape (0,), expected 21"),
        ({"task": "reach-v3", "observation": np.zeros(20)}, "found 20 finite scalars in shape (20,), expected 21"),
        ({"task": "reach-v3", "observation": "far"}, "found 0 finite scalars in shape (0,), expected 21"),
        ({"task": "reach-v3", "observation": [0.0] * 20 + [np.inf]}, "found 20 finite scalars in shape (21,)"),
        (
            {"task": "reach-v3", "observation": np.zeros(21), "image": 1},
            "condition 'image' is unknown to metaworld_mt10_hidden.onnx; it takes task, observation",
        ),
        (7, "task 7 is unknown to"),
        (None, "is conditioned on a task: found none"),
    ],
)
def test_a_wrong_condition_is_one_sentence(hidden_path, values, expected):
    with pytest.raises(ModelError) as caught:
        PolicyGenerator(hidden_path).generate(values, 1)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_an_observation_stands_beside_a_task_or_among_the_conditions(hidden_path):
    with pytest.raises(ModelError, match="found an observation beside a mapping of conditions"):
        PolicyGenerator(hidden_path).generate({"task": "reach-v3"}, 1, np.zeros(21))


SHOWN = (Condition("task", "task", ("a", "b")), Condition("seen", "observation", ("x", "y")))


def test_a_request_names_its_conditions_in_texts():
    assert requested(SHOWN, "a", [], [], "m") == {"task": "a"}
    assert requested(SHOWN, "", ["task"], ["b"], "m") == {"task": "b"}
    values = requested(SHOWN, "a", ["seen"], ["[0.5, 1]"], "m")
    assert values["task"] == "a" and values["seen"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("names", "texts", "expected"),
    [
        (["seen"], [], "found 1 condition_names and 0 condition_values, expected as many"),
        (["smell"], ["1"], "condition 'smell' is unknown to m; it takes task, seen"),
        (["task"], ["b"], "condition 'task': found two values, expected one"),
        (["seen", "seen"], ["[1]", "[2]"], "condition 'seen': found two values, expected one"),
        *(
            (["seen"], [text], f"condition 'seen': found '{text[:60]}")
            for text in ("", "far", "[1, [2]]", '{"x": 1}', "[" * 20_000, "[1, null, {}]", f"[1{'0' * 400}, 2]")
        ),
    ],
)
def test_a_request_with_a_wrong_condition_is_one_sentence(names, texts, expected):
    with pytest.raises(ModelError) as caught:
        requested(SHOWN, "a", names, texts, "m")
    assert expected in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 200


def _condition(**changes):
    return _set({"name": "task", "kind": "task", "names": ["a"]} | changes, "conditions", 0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_delete("conditions"), "its metadata is broken (KeyError: 'conditions')"),
        (_set([], "conditions"), "found conditions [], expected one of the kind 'task' among them"),
        (_set([3], "conditions"), "its metadata is broken (TypeError"),
        (
            _condition(name="view", kind="image"),
            "its condition 'view' is of the kind 'image', which this version of lwd_ros cannot give",
        ),
        (_condition(kind="demonstration"), "is of the kind 'demonstration', which this version of lwd_ros cannot give"),
        (_condition(kind="smell"), "is of the kind 'smell', expected task or observation"),
        (_condition(kind=["task"]), "is of the kind ['task'], expected task or observation"),
        (_condition(names=[]), "found tasks [], expected different names"),
        (_condition(names="reach"), "its metadata is broken (TypeError: names of 'task' are 'reach')"),
        (_condition(name=""), "found a condition with the name '', expected a text"),
        (
            _condition(name="noise"),
            "found conditions ['noise'], expected different names and kinds, none called 'noise'",
        ),
        (_condition(name="skill"), "found inputs ['noise', 'task'], expected ['noise', 'skill']"),
        (
            lambda content: content["conditions"].append(content["conditions"][0]),
            "found conditions ['task', 'task'], expected different names and kinds",
        ),
        (
            lambda content: content["conditions"].append({"name": "seen", "kind": "observation", "names": ["x"]}),
            "condition 'seen': found 1 scalars, expected the 21 of its contract, in their order",
        ),
    ],
)
def test_conditions_that_contradict_themselves_or_the_graph(tmp_path, model_path, change, expected):
    path = _rewritten(model_path, tmp_path / "model.onnx", change)
    assert expected in _refused(path)


_NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4, unique=True)


@given(_NAMES, st.integers(1, 512), st.booleans(), st.lists(st.integers(0, 20), min_size=1, max_size=4, unique=True))
def test_a_description_reads_back(tasks, latent_size, conditioned, indices):
    contract = Contract.from_dict(
        {
            "name": "any",
            "period_s": 0.1,
            "history": 1,
            "observation": {f"x{i}": {"unit": "m", "limits": [0, 1]} for i in range(21)},
            "command": {"v": {"unit": "m/s", "limits": [-1, 1], "slew_per_s": 1}},
        }
    )
    description = ModelDescription(
        contract=contract,
        conditions=(
            Condition("skill", "task", tuple(tasks)),
            *([Condition("seen", "observation", contract.observation_names)] if conditioned else []),
        ),
        layout=PolicyLayout((len(indices), 3, 1), "relu", "tanh"),
        observation_indices=tuple(indices),
        action_offset=(0.25,),
        action_scale=(0.1,),
        latent_size=latent_size,
        training={"data_digest": "0"},
    )
    assert (description.tasks, description.condition_on_observation) == (tuple(tasks), conditioned)
    assert ModelDescription.from_metadata(description.to_metadata(), "m.onnx") == description
    assert replace(description, license="MIT").to_metadata() != description.to_metadata()
