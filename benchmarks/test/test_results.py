"""Pins the results' format: what is committed can be read, and what is refused says why in one sentence."""

import json
from pathlib import Path

import pytest
from lwd_benchmarks import results
from lwd_benchmarks.gaits.results import GaitsResult
from lwd_benchmarks.own.choices import ChoicesResult
from lwd_benchmarks.own.results import OwnResult
from lwd_benchmarks.peers.results import LeRobotChecks, PeersResult
from lwd_benchmarks.report import pages
from lwd_benchmarks.results import ResultError, StudyResult, read, write
from lwd_benchmarks.studies.asking import AskingResult
from lwd_benchmarks.ways.results import WaysResult
from report_support import chain, latents, reconstruction, result

RESULTS = Path(__file__).parents[1] / "results"
KINDS = {"diffusion_policy": results.MethodsResult, "controller": results.ControllerResult}
OF_STUDIES = {
    "chain": results.ChainResult,
    "reconstruction": results.ReconstructionResult,
    "latents": results.LatentsResult,
    "handover": results.HandoverResult,
}
OF_OWN = {"import": results.ControllerResult, "base": OwnResult, "arm": OwnResult}
OF_PEERS = {"mt10": PeersResult, "arm": PeersResult, "lerobot": LeRobotChecks}


def _kind(path: Path):
    if path.parent.name == "own":
        return OF_OWN[path.stem.partition("_from_")[0]]
    if path.parent.name == "peers":
        return OF_PEERS[path.stem]
    if path.parent.name == "asking":
        return AskingResult
    if path.parent.name == "ways":
        return WaysResult
    if path.parent.name == "choices":
        return ChoicesResult
    if path.parent.name == "gaits":
        return GaitsResult
    other = results.Evaluation if path.parent.name == "handover" else StudyResult
    return KINDS.get(path.parent.name) or OF_STUDIES.get(path.stem.partition("_")[0], other)


def test_every_committed_result_is_of_its_kind():
    paths = sorted(RESULTS.glob("*/*.json"))
    assert len(paths) > 150 and {path.parent.name for path in paths} == {*pages.PAGES, "own"}
    for path in paths:
        read(_kind(path), path)


def test_what_is_written_is_what_is_read(tmp_path):
    write(StudyResult, result(successes=49), tmp_path / "a.json")
    found = read(StudyResult, tmp_path / "a.json")
    assert found.study.entry == "mt10_lwd" and found.tasks["push-v3"].failed_layouts == [200_000]
    with pytest.raises(ResultError):
        write(StudyResult, result() | {"tasks": {}, "policy_parameters": -1}, tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()


def _refused(tmp_path, kind, content) -> str:
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ResultError) as error:
        read(kind, path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_result_is_refused(tmp_path):
    assert "cannot be read" in _refused(tmp_path, StudyResult, '{"study": ')
    assert "valid dictionary" in _refused(tmp_path, StudyResult, "[1]")
    with pytest.raises(ResultError, match=r"none\.json: cannot be read"):
        read(StudyResult, tmp_path / "none.json")


@pytest.mark.parametrize(("kind", "made"), [(StudyResult, result), (results.ChainResult, chain)])
def test_a_missing_study_block_is_refused(tmp_path, kind, made):
    content = made()
    del content["study"]
    assert "key 'study': Field required" in _refused(tmp_path, kind, content)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"set": "mt51"}, "key 'study.set': Input should be 'mt10' or 'mt50', found 'mt51'"),
        ({"groups": ["main", "best"]}, "key 'study.groups.1'"),
        ({"seed": True}, "key 'study.seed': Input should be a valid integer, found True"),
        ({"steps": None}, "found no hidden layers, demonstrations, steps or parameters, which only the expert lacks"),
        ({"method": "multitask_mlp", "hidden_layers": None}, "found no hidden layers, demonstrations"),
        ({"colour": "red"}, "key 'study.colour': Extra inputs are not permitted, found 'red'"),
    ],
)
def test_a_block_that_says_nonsense_is_refused(tmp_path, changes, found):
    content = result()
    content["study"] |= changes
    assert found in _refused(tmp_path, StudyResult, content)


def test_results_on_layouts_other_than_they_say_are_refused(tmp_path):
    content = result()
    content["protocol"]["first_layout"] = 100_000
    assert "found first layout 100000, expected reporting layouts, 200,000 to" in _refused(
        tmp_path, StudyResult, content
    )
    content["protocol"] = {"first_layout": 200_000, "first_layout_of": {"push-v3": 150_000}}
    assert "found first layout 150000, expected reporting layouts" in _refused(tmp_path, StudyResult, content)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"successes": 51}, "key 'tasks.reach-v3': found 51 successes of 50 episodes"),
        ({"success": 0.9}, "found success 0.9, which its counts contradict"),
        ({"failed_layouts": [200_007]}, "found 1 failed layouts, which its counts contradict"),
    ],
)
def test_impossible_counts_are_refused(tmp_path, changes, found):
    content = result()
    content["tasks"]["reach-v3"] |= changes
    assert found in _refused(tmp_path, StudyResult, content)


@pytest.mark.parametrize(
    ("kind", "made", "missing"),
    [(results.ReconstructionResult, reconstruction, "mean"), (results.LatentsResult, latents, "tasks")],
)
def test_a_study_that_lacks_something_is_refused(tmp_path, kind, made, missing):
    content = made()
    assert "key 'study': Input should be" in _refused(tmp_path, kind, content | {"study": "other"})
    lacking = {key: value for key, value in content.items() if key != missing}
    assert f"key '{missing}': Field required" in _refused(tmp_path, kind, lacking)
    assert f"key '{missing}': Input should be a valid dictionary" in _refused(tmp_path, kind, content | {missing: [1]})


def test_pictures_of_paths_that_are_no_paths_are_refused(tmp_path):
    content = reconstruction()
    content["kept_paths"]["reach-v3"]["expert"][0][0] = [1, 2]
    found = _refused(tmp_path, results.ReconstructionResult, content)
    assert "key 'kept_paths.reach-v3.expert.0.0.2': Field required" in found
    content["kept_paths"]["reach-v3"]["expert"][0] = [[1, 2, 3]]
    assert "at least 20 items" in _refused(tmp_path, results.ReconstructionResult, content)
    content = latents()
    content["tasks"]["reach-v3"]["encoded"][0] = [1, 2, 3]
    assert "at most 2 items" in _refused(tmp_path, results.LatentsResult, content)


@pytest.mark.parametrize(
    "content",
    [
        {"protocol": None, "models": {}},
        {"protocol": {"first_layout": 200_000}},
        {"protocol": {"first_layout": 200_000}, "models": None},
        {"protocol": {"first_layout": 200_000}, "models": {"a": 1}},
    ],
)
def test_handovers_of_an_earlier_format_that_say_nonsense_are_refused(tmp_path, content):
    assert "key 'protocol" in _refused(tmp_path, results.HandoverResult, content)


def test_a_benchmark_of_the_controller_without_figures_is_refused(tmp_path):
    head = {"machine": "a", "python": "3", "versions": {}}
    assert "found no 'runs'" in _refused(tmp_path, results.ControllerResult, {"benchmark": "step", **head})
    assert "key 'benchmark'" in _refused(tmp_path, results.ControllerResult, {"benchmark": "jump", **head})
