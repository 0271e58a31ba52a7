"""Pins studies: what a study's file may say, and that each result is made once, by the job that is asked for."""

import json
from pathlib import Path

import pytest
import yaml
from lwd_benchmarks.studies.matrix import Study, StudyError, run_study

from lwd_ros.environments.collect import CollectSettings, collect

CONFIG = """
name: tiny
hidden_layers: [6]
autoencoder: {steps: 20, demonstrations: 4, pairs: 16, latent_size: 4, encoder_layers: [8], hypernetwork_layers: [8]}
diffusion: {steps: 20, batch: 8, width: 8, sampling_steps: 2}
"""
TASKS = ("drawer-close-v3", "handle-press-v3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, contract):
    """A tiny dataset and training config."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "config.yaml").write_text(CONFIG)
    collect(folder / "data", TASKS, contract, CollectSettings(episodes=2), 1)
    return folder


def _file(folder, entries, **changes):
    content = {
        "data": {"mt10": str(folder / "data")},
        "runs": str(folder / "runs"),
        "results": str(folder / "results"),
        "entries": entries,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


def _entries(folder):
    common = {"set": "mt10", "episodes": 2, "layouts": "validation"}
    config = {"config": str(folder / "config.yaml")}
    return [
        {"entry": "nearest", "method": "nearest_latent", "run_of": "small", **common},
        {"entry": "again", "method": "lwd", "run_of": "small", **common | {"layouts": "reporting"}},
        {"entry": "small", "method": "lwd", "changes": {"hidden_layers": [3]}, **common, **config},
        {"entry": "chain_x", "method": "lwd", "run_of": "small", "chain": [TASKS[0]], **common},
        {"entry": "mlp", "method": "multitask_mlp", "seeds": [0, 1], "groups": ["size"], **common, **config},
    ]


def test_every_job_is_trained_and_judged_once_and_uses_what_it_names(folder):
    study = Study.load(_file(folder, _entries(folder)))
    assert sorted(run_study(study)) == [
        "again_seed0",
        "chain_x_seed0",
        "mlp_seed0",
        "mlp_seed1",
        "nearest_seed0",
        "small_seed0",
    ]
    results = {path.stem: json.loads(path.read_text()) for path in sorted((folder / "results").glob("*.json"))}
    small, again = results["small_seed0"], results["again_seed0"]
    block = {key: value for key, value in small["study"].items() if key not in ("job", "training_s")}
    assert block == {
        **{"entry": "small", "set": "mt10", "goal": "visible", "method": "lwd", "seed": 0, "hidden_layers": [3]},
        **{"demonstrations_per_task": 0, "steps": 20, "groups": ["main"], "layouts": "validation"},
    }
    assert small["protocol"]["first_layout"] == 100_000 and small["tasks"][TASKS[0]]["episodes"] == 2
    assert again["model_digest"] == small["model_digest"] and again["protocol"]["first_layout"] == 200_000
    assert again["study"]["hidden_layers"] == [3] == results["nearest_seed0"]["study"]["hidden_layers"]
    assert results["mlp_seed0"]["model_digest"] != results["mlp_seed1"]["model_digest"]
    assert results["mlp_seed1"]["study"]["seed"] == 1 and results["mlp_seed1"]["study"]["groups"] == ["size"]

    chain = results["chain_x_seed0"]
    assert [link["task"] for link in chain["links"]] == [TASKS[0]] and chain["study"]["seed"] == 0
    assert chain["model_digest"] == small["model_digest"]

    before = {path: path.stat().st_mtime_ns for path in (folder / "results").iterdir()}
    assert run_study(study) == {}
    (folder / "results" / "again_seed0.json").unlink()
    assert list(run_study(study, ["mlp", "sma*"])) == []
    assert list(run_study(study, ["ag*"])) == ["again_seed0"]
    kept = {path: time for path, time in before.items() if path.stem != "again_seed0"}
    assert kept == {path: path.stat().st_mtime_ns for path in kept}

    (folder / "results" / "mlp_seed1.json").unlink()
    (folder / "results" / "again_seed0.json").unlink()
    assert list(run_study(study, ["mlp_seed1"])) == ["mlp_seed1"]  # one seed by its name


def test_a_result_of_other_settings_is_not_taken_for_the_one_asked_for(folder):
    entries = [
        {**entry, "changes": {"hidden_layers": [4]}} if entry["entry"] == "small" else entry
        for entry in _entries(folder)
    ]
    run_study(Study.load(_file(folder, _entries(folder))))
    with pytest.raises(
        StudyError, match=r"small_seed0.json: was made by other settings \('changes' was .*\[4\].*delete"
    ):
        run_study(Study.load(_file(folder, entries)))
    broken = folder / "results" / "small_seed0.json"
    whole = broken.read_text()
    broken.write_text(whole[:100])
    with pytest.raises(StudyError, match=r"small_seed0\.json: is not a result of a study"):
        run_study(Study.load(_file(folder, _entries(folder))))
    broken.write_text(whole)


def test_a_config_that_was_edited_or_data_collected_anew_makes_results_stale(folder):
    study = Study.load(_file(folder, _entries(folder)))
    run_study(study)
    config, meta = folder / "config.yaml", folder / "data" / "meta.json"
    for path, old, new, key in (
        (config, "steps: 20, batch", "steps: 21, batch", "train_config"),
        (meta, '"digest": "', '"digest": "0', "data_digest"),
    ):
        whole = path.read_text()
        assert whole.count(old) == 1
        path.write_text(whole.replace(old, new))
        with pytest.raises(StudyError, match=f"was made by other settings .'{key}' was"):
            run_study(study, ["mlp"])
        path.write_text(whole)
    parent = folder / "results" / "small_seed0.json"
    whole = parent.read_text()
    parent.write_text(whole.replace('"model_digest": "', '"model_digest": "0'))
    with pytest.raises(StudyError, match=r"nearest_seed0.*'run_of_digest' was"):
        run_study(study, ["nearest"])
    parent.write_text(whole)
    assert run_study(study) == {}


def test_another_group_is_written_into_the_result_that_is_there(folder):
    entries = _entries(folder)
    run_study(Study.load(_file(folder, entries)))
    path = folder / "results" / "mlp_seed0.json"
    before = json.loads(path.read_text())
    assert run_study(Study.load(_file(folder, [*entries[:-1], entries[-1] | {"groups": ["budget"]}]))) == {}
    after = json.loads(path.read_text())
    assert after["study"].pop("groups") == ["budget"] and before["study"].pop("groups") == ["size"]
    assert after == before


def test_a_pattern_that_names_nothing_is_refused(folder):
    with pytest.raises(StudyError, match="found no entry like 'smal', expected some"):
        run_study(Study.load(_file(folder, _entries(folder))), ["mlp", "smal"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"entries": [{"entry": "x", "set": "mt10"}]}, "expected a mapping with entry, set and method"),
        ({"entries": [{"entry": "x", "set": "mt7", "method": "expert"}]}, "found set 'mt7', expected a set of mt10"),
        ({"entries": [{"entry": "x", "set": "mt10", "method": "lwd", "sees": 1}]}, "found key 'sees', expected one of"),
        ({"entries": 2 * [{"entry": "x", "set": "mt10", "method": "expert"}]}, "found 'x_seed0' twice"),
        ({"entries": [{"entry": "x", "set": "mt10", "method": "magic"}]}, "found method 'magic', expected one of lwd"),
        ({"entries": [{"entry": "x", "set": "mt10", "method": "lwd"}]}, "found neither config nor run_of"),
        (
            {"entries": [{"entry": "x", "set": "mt10", "method": "expert", "seeds": 3}]},
            "seeds: found 3, expected a list",
        ),
        (
            {"entries": [{"entry": "x", "set": "mt10", "method": "expert", "groups": "a"}]},
            "groups: found 'a', expected",
        ),
        ({"results": None}, "key 'results': found None, expected a str"),
    ],
)
def test_a_studys_file_that_cannot_be_followed_is_refused(folder, changes, expected):
    with pytest.raises(StudyError, match=expected):
        Study.load(_file(folder, **{"entries": []} | changes))


def test_a_studys_file_that_is_missing_or_no_yaml_is_refused(folder):
    with pytest.raises(StudyError, match=r"none\.yaml: cannot be read"):
        Study.load(folder / "none.yaml")
    (folder / "bad.yaml").write_text("a: [")
    with pytest.raises(StudyError, match=r"bad\.yaml: is not YAML"):
        Study.load(folder / "bad.yaml")


def test_a_study_of_a_run_that_is_not_there_says_so(folder):
    entry = {"entry": "y", "set": "mt10", "method": "lwd", "run_of": "nowhere"}
    with pytest.raises(StudyError, match="'y': found no model of 'nowhere'"):
        run_study(Study.load(_file(folder, [entry])))


def test_the_shipped_study_can_be_loaded():
    assert len(Study.load(Path(__file__).parents[1] / "config/study/metaworld.yaml").jobs) > 100


def test_tasks_with_layouts_of_their_own_are_judged_on_those(folder):
    """The other tasks, validation layouts and the order of tasks stay as they are."""
    entries = [entry | {"layouts": "reporting"} for entry in _entries(folder) if entry["entry"] == "mlp"]
    entries = [{**entries[0], "seeds": [0], "entry": "apart"}]
    moved = {TASKS[0]: 700_000}
    study = Study.load(_file(folder, entries, first_layout_of=moved))
    assert list(run_study(study)) == ["apart_seed0"]
    result = json.loads((folder / "results" / "apart_seed0.json").read_text())
    assert result["protocol"]["first_layout_of"] == moved and result["protocol"]["first_layout"] == 200_000
    assert list(result["tasks"]) == list(TASKS)
    for task, row in result["tasks"].items():
        first = moved.get(task, 200_000)
        assert all(first <= layout < first + 2 for layout in row["failed_layouts"])
    rates = [row["success"] for row in result["tasks"].values()]
    assert result["mean_success"] == sum(rates) / len(rates)
    assert run_study(study) == {}
    with pytest.raises(StudyError, match="first_layout_of"):
        run_study(Study.load(_file(folder, entries)))


def test_layouts_of_their_own_are_reporting_ones(folder):
    with pytest.raises(StudyError, match="key 'first_layout_of': found"):
        Study.load(_file(folder, _entries(folder), first_layout_of={TASKS[0]: 700}))
