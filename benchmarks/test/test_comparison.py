"""Pins the studies that compare methods: what they count, what they keep, and that each runs from the command line."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from diffusion_policy_support import STEPS, TINY
from lwd_benchmarks.methods.diffusion_policy.model_file import ActionGenerator
from lwd_benchmarks.methods.diffusion_policy.training import train_diffusion_policy
from lwd_benchmarks.studies import comparison, costs, trials
from lwd_benchmarks.studies.comparison import Case, EarlierResultError, Rules, compare
from lwd_benchmarks.studies.costs import QueryTimes, flops, query_seconds
from lwd_benchmarks.studies.horizon import study_horizon
from lwd_benchmarks.studies.methods import Method, MethodsError, load_methods
from lwd_benchmarks.studies.robustness import _FREE_OBJECT, CASES, study_disturbance, study_latency

from lwd_ros.cli import cli
from lwd_ros.dataset import Demonstrations
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.disturbance import Disturbance
from lwd_ros.environments.episode import Thinking
from lwd_ros.environments.metaworld.tasks import MT10
from lwd_ros.evaluation.evaluate import evaluate
from lwd_ros.generator import ModelError
from lwd_ros.resources import share_path

LWD = share_path("models", "metaworld_mt10_visible.onnx")
TASKS = ("reach-v3", "drawer-close-v3")
FIRST = 100_000
STUDIES = ("horizon", "disturbance", "latency")


@pytest.fixture(scope="module")
def diffusion_policy(tmp_path_factory, contract) -> Path:
    """A model file of three tasks, hardly trained."""
    folder = tmp_path_factory.mktemp("diffusion_policy")
    collect(folder / "data", (*TASKS, "push-v3"), contract, CollectSettings(episodes=2), workers=1)
    config = replace(TINY, prediction_horizon=16, steps=3, batch=4)
    train_diffusion_policy(config, Demonstrations(folder / "data"), folder / "run", folder / "dp_seed0.onnx")
    return folder / "dp_seed0.onnx"


def _described(kind: str, model, horizons: dict[str, list[int]]) -> dict:
    """An entry of a file of methods, with the horizons of each study."""
    models = {study: [{"model": str(model), "seeds": [0], "horizons": found}] for study, found in horizons.items()}
    return {"label": kind, "kind": kind, "models": models}


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Where the quick studies keep their trials: a trial of several studies is run once."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def methods(diffusion_policy, tmp_path) -> Path:
    """A file of methods."""
    models = diffusion_policy.parent / "dp_seed{seed}.onnx"
    content = {
        "lwd": _described("lwd", LWD, {"horizon": [500, 8], "disturbance": [500], "latency": [500]}),
        "diffusion_policy": _described("diffusion_policy", models, {study: [8] for study in STUDIES}),
    }
    path = tmp_path / "methods.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _rules(tmp_path, tasks=TASKS[1:], episodes=2) -> Rules:
    return Rules(tasks, episodes, FIRST, tmp_path / "kept", 1)


def _file(path: Path) -> tuple[Path, str]:
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def _method(*horizons: int, name="lwd", kind="lwd", path=LWD) -> Method:
    return Method(name, kind, {horizon: (_file(path),) for horizon in horizons})


def test_rows_say_what_lwd_evaluate_says(tmp_path):
    row = compare([_method(500)], [Case()], _rules(tmp_path))[0].to_dict()
    expected = evaluate(LWD, TASKS[1:], 2, FIRST, 1)["tasks"]["drawer-close-v3"]
    assert row["successes"] == expected["successes"] == 2
    assert row["steps_per_episode"] == pytest.approx(expected["steps_to_success"]["median"])
    assert (row["horizon"], row["training_seeds"], row["queries_per_episode"]) == (500, 1, 1.0)
    assert row["tasks"] == {"drawer-close-v3": {"successes": 2, "episodes": 2, "failed_layouts": []}}
    assert row["models"] == [{"model": LWD.name, "sha256": _file(LWD)[1]}]


def test_seeds_and_tasks_are_pooled_and_cases_told_apart(tmp_path, monkeypatch):
    asked = []

    def counted(found, kept, workers):
        asked.extend(found)
        layouts = (FIRST, FIRST + 1)
        return [trials.Counts({(t.task, n): (n == FIRST,) for n in layouts}, 3, 4) for t in found]

    monkeypatch.setattr(comparison, "run_trials", counted)
    monkeypatch.setattr(comparison, "_require_usable", lambda methods, rules: None)
    first, other = (Path("a.onnx"), "1"), (Path("b.onnx"), "2")
    methods = [
        Method("a", "lwd", {8: (first, other), 500: (first,)}),
        Method("b", "diffusion_policy", {16: (other,)}),
    ]
    cases = [
        Case({"level": 1}),
        Case({"level": 2}, Disturbance(delay=2), lambda m, h: Thinking(h // 8 if m.name == "a" else 0)),
        Case({"level": 3}, tasks=("reach-v3", "push-v3")),
    ]
    found = compare(methods, cases, _rules(tmp_path, TASKS))
    rows = [row.to_dict() for row in found if row.method.name == "a"]
    assert [(r["level"], r["horizon"], r["successes"], r["episodes"]) for r in rows] == [
        (1, 8, 4, 8), (1, 500, 2, 4), (2, 8, 4, 8), (2, 500, 2, 4), (3, 8, 2, 4), (3, 500, 1, 2)
    ]  # fmt: skip
    counts = {"successes": 2, "episodes": 4, "failed_layouts": [FIRST + 1] * 2}
    assert rows[0]["tasks"] == dict.fromkeys(TASKS, counts)
    assert rows[4]["tasks"] == {"reach-v3": counts}
    assert rows[0]["queries_per_episode"] == 1.5
    assert [row["thinking_steps"] for row in rows] == [0, 0, 1, 62, 0, 0]
    assert {(trial.kind, trial.model_digest) for trial in asked} == {
        ("lwd", "1"), ("lwd", "2"), ("diffusion_policy", "2")
    }  # fmt: skip
    assert [trial.disturbance.delay for trial in asked] == [0] * 6 + [2] * 6 + [0] * 3 + [0] * 2 + [2] * 2 + [0]


def test_trials_are_kept_and_known_by_all_that_they_depend_on(tmp_path, monkeypatch):
    rules = _rules(tmp_path, episodes=1)
    first = compare([_method(500)], [Case()], rules)[0].counts
    place = next(rules.kept.glob("*.json"))
    monkeypatch.setattr(trials, "run_episode", lambda *a, **k: pytest.fail("it was run again"))
    assert compare([_method(500)], [Case()], rules)[0].counts == first
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(LWD.read_bytes())
    assert compare([_method(500, path=moved)], [Case()], rules)[0].counts == first
    # What is broken, or of another trial, is not taken.
    content = json.loads(place.read_text())
    for broken in ("{", json.dumps(content | {"trial": content["trial"] | {"episodes": 9}})):
        place.write_text(broken)
        with pytest.raises(pytest.fail.Exception, match="it was run again"):
            compare([_method(500)], [Case()], rules)
    known = trials.Trial("lwd", LWD, "1", 500, "reach-v3", FIRST, 1)
    changes = (
        {"kind": "diffusion_policy"}, {"model_digest": "2"}, {"horizon": 8}, {"task": "push-v3"}, {"episodes": 2},
        {"first_layout": FIRST + 1}, {"disturbance": Disturbance(delay=1)}, {"thinking": Thinking(1)},
        {"thinking": Thinking(1, "pauses")},
    )  # fmt: skip
    digests = {replace(known, **change).digest for change in changes}
    assert len(digests | {known.digest}) == len(changes) + 1


def test_another_program_runs_trials_again(monkeypatch):
    known = trials.Trial("lwd", LWD, "1", 500, "reach-v3", FIRST, 1)
    before = known.digest
    monkeypatch.setattr(trials, "REVISION", trials.REVISION + 1)
    assert known.digest != before


def test_a_model_that_is_replaced_meanwhile_is_refused(tmp_path):
    method = Method("lwd", "lwd", {500: ((LWD, "0" * 64),)})
    with pytest.raises(ModelError, match="was replaced while the study ran"):
        compare([method], [Case()], _rules(tmp_path))


def test_a_model_that_lacks_a_task_is_refused_before_any_episode(tmp_path, diffusion_policy, monkeypatch):
    monkeypatch.setattr(trials, "run_episode", lambda *a, **k: pytest.fail("an episode was run"))
    method = _method(8, name="dp", kind="diffusion_policy", path=diffusion_policy)
    with pytest.raises(
        ModelError, match=r"task 'pick-place-v3' is unknown to dp_seed0.onnx; it knows reach-v3, drawer"
    ):
        compare([_method(500), method], [Case()], _rules(tmp_path, ("reach-v3", "pick-place-v3")))


def test_the_drop_is_of_the_same_episodes():
    before = {("a", n): (True, True) for n in range(20)} | {("b", n): (False, False) for n in range(20)}
    after = {("a", n): (True, n < 10) for n in range(20)}
    less, (low, high) = comparison.drop(before, after)
    assert less == pytest.approx(0.25)  # task b, which the case does not have, does not count
    assert 0.1 < low < 0.2 < 0.3 < high < 0.4
    assert comparison.drop(before, before) == (0.0, (0.0, 0.0))
    # Against a method that drops as much on the same layouts there is nothing left, not even an interval.
    assert comparison.extra_drop((before, after), (before, after)) == (0.0, (0.0, 0.0))
    assert comparison.lead(after, after) == (0.0, (0.0, 0.0))
    untouched = dict.fromkeys(after, (True, True))
    more, (low, high) = comparison.extra_drop((before, after), (before, untouched))
    assert (more, low > 0.1, high < 0.4) == (pytest.approx(0.25), True, True)
    behind, (low, high) = comparison.lead(after, untouched)
    assert (behind, low > -0.4, high < -0.1) == (pytest.approx(-0.25), True, True)


def test_a_row_holds_the_outcomes_that_it_was_made_of():
    found = {("a", FIRST): (True, False, False), ("a", FIRST + 1): (True,) * 3, ("b", FIRST): (False,) * 3,
             ("b", FIRST + 1): (False, True, True)}  # fmt: skip
    row = trials.Counts(found).to_dict() | {"training_seeds": 3}
    read = comparison.outcomes_of(row, {"first_layout": FIRST, "episodes_per_task": 2})
    assert {key: sum(value) for key, value in read.items()} == {key: sum(value) for key, value in found.items()}
    assert {len(value) for value in read.values()} == {3}


def test_drops_are_set_against_those_of_the_reference(tmp_path, monkeypatch):
    def counted(found, kept, workers):
        kept_up = {"lwd": 15, "diffusion_policy": 10}
        return [
            trials.Counts({(t.task, FIRST + n): (t.disturbance == Disturbance() or n < kept_up[t.kind],)
                           for n in range(20)}, 20, 20, 20)
            for t in found
        ]  # fmt: skip

    monkeypatch.setattr(comparison, "run_trials", counted)
    monkeypatch.setattr(comparison, "_require_usable", lambda methods, rules: None)
    methods = [Method("lwd", "lwd", {500: ((LWD, "1"),)}),
               Method("diffusion_policy", "diffusion_policy", {8: ((LWD, "2"),), 16: ((LWD, "2"),)})]  # fmt: skip
    cases = [
        Case({"disturbance": "none", "level": 0}),
        Case({"disturbance": "delay", "level": 2}, Disturbance(delay=2)),
    ]
    rules = _rules(tmp_path, TASKS[:1], 20)
    found = study_disturbance(methods, rules, cases)["methods"]
    assert [(row["drop"], row["extra_drop"]) for row in found["lwd"]] == [(0.0, 0.0), (0.25, -0.25)]
    assert [row["extra_drop"] for row in found["diffusion_policy"]] == [0.0] * 4
    assert found["lwd"][1]["extra_drop_interval"][1] < 0
    assert [(row["lead"], row["reference"]) for row in found["lwd"]] == [
        (0.0, ["diffusion_policy", 8]), (0.25, ["diffusion_policy", 8])
    ]  # fmt: skip
    assert found["lwd"][1]["lead_interval"][0] > 0
    # What was trained on other observations is set against what was trained alike.
    robust = {"lwd": "lwd_robust", "diffusion_policy": "diffusion_policy_robust"}
    methods += [replace(method, name=robust[method.name]) for method in methods]
    found = study_disturbance(methods, rules, cases)["methods"]
    assert {row["reference"][0] for row in found["lwd_robust"]} == {"diffusion_policy_robust"}
    assert {row["reference"][0] for row in found["diffusion_policy_robust"]} == {"diffusion_policy"}
    first = study_disturbance(methods[:1], rules, cases)
    assert all("extra_drop" not in row for row in first["methods"]["lwd"])
    # One method after another gives what all together do, whichever comes first.
    first["machine"] = {"cpu": "another"}  # without times, it does not matter
    then = study_disturbance(methods[1:], rules, cases, earlier=first)
    assert then["methods"] == found
    again = study_disturbance(methods[2:], rules, cases)
    again = study_disturbance(methods[:2], rules, cases, earlier=again)
    assert again["methods"] == found


def test_other_methods_stay_as_they_are_in_an_earlier_result(tmp_path, methods, kept, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["study", "horizon", "--quick", "--methods", str(methods), "--kept", str(kept), "--workers", "1"]
    path = Path("out/quick_horizon.json")
    assert CliRunner().invoke(cli, [*given, "--only", "lwd"]).exit_code == 0
    first = json.loads(path.read_text())
    assert list(first["methods"]) == ["lwd"]
    assert CliRunner().invoke(cli, [*given, "--only", "diffusion_policy"]).exit_code == 0
    both = json.loads(path.read_text())
    assert list(both["methods"]) == ["lwd", "diffusion_policy"] and both["methods"]["lwd"] == first["methods"]["lwd"]
    # Without --only, what is not in the file of methods goes.
    alone = {"lwd": yaml.safe_load(methods.read_text())["lwd"]}
    methods.write_text(yaml.safe_dump(alone))
    assert CliRunner().invoke(cli, given).exit_code == 0
    assert list(json.loads(path.read_text())["methods"]) == ["lwd"]
    for broken, sentence in (
        (
            json.dumps({**both, "protocol": {**both["protocol"], "revision": 0}}),
            r"key 'protocol': found .*\"revision\": 0.*, expected",
        ),
        (
            json.dumps({**both, "machine": {"cpu": "another", "cores": 2}}),
            "key 'machine': found .*another.* cannot stand beside",
        ),
        ("[]", "quick_horizon.json: is not the result of a study of methods"),
        ("{", "quick_horizon.json: is not the result of a study of methods"),
    ):
        path.write_text(broken)
        with pytest.raises(EarlierResultError, match=sentence):
            CliRunner().invoke(cli, [*given, "--only", "lwd"], catch_exceptions=False)
        assert path.read_text() == broken


def test_horizons_state_their_cost(tmp_path, diffusion_policy):
    methods = [_method(500), _method(8, name="dp", kind="diffusion_policy", path=diffusion_policy)]
    result = study_horizon(methods, _rules(tmp_path, episodes=1))
    lwd, dp = result["methods"]["lwd"][0], result["methods"]["dp"][0]
    assert lwd["diffusion_ms_per_episode"] == lwd["diffusion_ms_per_success"] == lwd["query_ms"] > 0
    assert dp["diffusion_ms_per_episode"] == pytest.approx(dp["query_ms"] * dp["queries_per_episode"])
    assert dp["queries_per_episode"] == -(-dp["steps_per_episode"] // 8)
    # 21-16-16-4; a query: twenty steps of the denoiser, then the hypernetwork
    assert lwd["flops"]["policy_step"] == 2 * (21 * 16 + 16 * 16 + 16 * 4)
    denoiser = 64 * 256 + 16 * 256 + 256 * 256 + 2 * 2 * 256 * 256 + 256 * 64
    assert lwd["flops"]["query"] == 2 * (20 * denoiser + 64 * 256 + 256 * 256 + 256 * 692)
    # An episode ends with success, so a query is spread over the steps that there were.
    assert lwd["flops"]["control_step"] == pytest.approx(lwd["flops"]["query"] / lwd["steps_per_episode"] + 1312)
    assert dp["flops"]["control_step"] == pytest.approx(dp["flops"]["query"] / 8, rel=0.02)
    assert result["machine"]["cores"] >= 1 and result["protocol"]["episodes_per_task"] == 1
    assert dp["seconds"] > 0


def test_operations_of_a_query_are_those_of_every_network_pass(diffusion_policy):
    description = ActionGenerator(diffusion_policy).description
    # The first convolution alone: every pass, 16 actions, 8 filters of 4 x 5.
    assert description.flops > STEPS * 2 * 16 * 8 * 4 * 5
    assert flops("diffusion_policy", diffusion_policy) == {"query": description.flops, "policy_step": 0.0}


def test_latency_is_what_was_measured_once_in_whole_control_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "query_seconds", lambda actors: [0.006] * len(actors))
    rows = study_latency([_method(500)], _rules(tmp_path, episodes=1), slower=(1, 5))["methods"]["lwd"]
    found = [(r["times_slower"], r["meanwhile"], r["thinking_steps"], r["query_ms"]) for r in rows]
    ways = ("stands", "plays on", "pauses")
    assert found == [(1, way, 0, 6.0) for way in ways] + [(5, way, 2, 30.0) for way in ways]
    assert all(0 < row["steps_per_success"] <= row["steps_per_episode"] for row in rows if row["successes"])
    monkeypatch.setattr(costs, "query_seconds", lambda *a: pytest.fail("it was measured again"))
    again = study_latency([_method(500)], _rules(tmp_path, episodes=1), slower=(5,))["methods"]["lwd"]
    assert [row["thinking_steps"] for row in again] == [2, 2, 2]
    assert study_horizon([_method(500)], _rules(tmp_path, episodes=1))["methods"]["lwd"][0]["query_ms"] == 6.0
    with pytest.raises(pytest.fail.Exception, match="it was measured again"):  # another machine
        monkeypatch.setattr(costs, "machine", lambda: {"cpu": "another", "cores": 2})
        QueryTimes(tmp_path / "kept", [_method(500)])


def test_rows_that_share_episodes_count_their_time_once(tmp_path, monkeypatch):
    def timed(found, kept, workers):
        return [trials.Counts({(t.task, FIRST): (True,)}, 1, 9, 1, seconds={t.digest: 3600.0}) for t in found]

    monkeypatch.setattr(comparison, "run_trials", timed)
    result = study_latency([_method(500)], _rules(tmp_path, TASKS), slower=(1,))
    assert [row["seconds"] for row in result["methods"]["lwd"]] == [7200.0, 0.0, 0.0]  # 0 steps of thinking
    assert result["episode_hours"] == 2.0


def test_a_query_is_timed_on_its_own_thread(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(costs.time, "thread_time", lambda: 0.5 * next(clock))
    actors = [trials.make_actor("lwd", LWD, horizon) for horizon in (8, 500)]
    assert query_seconds(actors, rounds=2, repeats=3) == [0.5, 0.5]
    assert [actor.queries for actor in actors] == [1, 1]


def test_a_model_is_loaded_and_timed_once_for_all_horizons(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "query_seconds", lambda actors: [0.1 * k for k, _ in enumerate(actors, 1)])
    method, other = _method(500, 64, 8), _method(8, path=share_path("models", "metaworld_mt10_hidden.onnx"))
    times = QueryTimes(tmp_path, [method, other])
    assert [times.of(method, horizon) for horizon in method.models] == [0.1] * 3
    assert times.of(other, 8) == 0.2


def test_cases_cover_what_is_promised():
    kinds = {case.labels["disturbance"] for case in CASES}
    assert kinds == {
        "none", "action noise", "observation noise", "observation delay", "dropped observations",
        "push of the hand", "push of the object", "control period",
    }  # fmt: skip
    assert all((case.disturbance == Disturbance()) == (case.labels["disturbance"] == "none") for case in CASES)
    rates = {round(1 / c.disturbance.period_s) if c.disturbance.period_s else None for c in CASES}
    assert rates == {40, None, 200}  # none: the contract's own
    assert all(c.of(MT10) == (MT10 if not c.disturbance.object_push_mps else _FREE_OBJECT) for c in CASES)


@pytest.mark.parametrize("study", STUDIES)
def test_the_quick_form_of_each_study_runs(methods, tmp_path, kept, study, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["study", study, "--quick", "--methods", str(methods), "--kept", str(kept), "--workers", "1"]
    result = CliRunner().invoke(cli, given)
    assert result.exit_code == 0, result.output
    content = json.loads(Path(f"out/quick_{study}.json").read_text())
    assert content["study"] == study
    assert set(content["methods"]) == {"lwd", "diffusion_policy"}
    for rows in content["methods"].values():
        pushed = [row for row in rows if row.get("disturbance") == "push of the object"]
        assert all(row["episodes"] == (1 if row in pushed else 2) and 0 <= row["success"] <= 1 for row in rows)
        assert (study != "disturbance") or (pushed and all("drop_interval" in row for row in rows))
    assert "lwd                  horizon 500" in result.output
    assert not Path("docs").exists()


def test_quick_has_tasks_of_its_own(methods):
    result = CliRunner().invoke(cli, ["study", "horizon", "--quick", "--episodes", "3", "--methods", str(methods)])
    assert result.exit_code == 2 and "expected neither --tasks nor --episodes" in result.output


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", r"found \[\], expected a mapping of methods by name"),
        (
            "{a: {label: a, kind: x, models: {horizon: []}}}",
            "method 'a': found kind 'x', expected one of lwd, diffusion_pol",
        ),
        ("{a: {label: a, models: {horizon: []}}}", "method 'a': found models without a kind"),
        ("{a: {kind: lwd}}", "method 'a': key 'label': Field required"),
        ("{a: {label: a, colour_: red}}", "method 'a': key 'colour_': Extra inputs are not permitted"),
        ("{a: {label: a}}", "found no method with models for 'horizon'"),
        (
            "{a: {label: a, kind: lwd, models: {horizon: [{model: m.onnx}]}}}",
            "method 'a': key 'models.horizon.0.seeds': Field required",
        ),
        (
            "{a: {label: a, kind: lwd, models: {horizon: [{model: 'm{seed}.onnx', seeds: [3], horizons: [8]}]}}}",
            r"found no .*m3\.onnx",
        ),
        (
            f"{{a: {{label: a, kind: lwd, models: {{horizon: [&m {{model: {LWD}, seeds: [0], horizons: [8]}}, *m]}}}}"
            "}",
            "method 'a': found horizon 8 twice, expected one list of seeds for each horizon",
        ),
        ("{'a, b': {label: a}}", "found method 'a, b', expected names without commas"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_wrong_file_of_methods_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "methods.yaml"
    path.write_text(content)
    with pytest.raises(MethodsError, match=sentence):
        load_methods("horizon", path)


def test_some_methods_of_a_file_need_no_models_of_the_others(tmp_path):
    path = tmp_path / "methods.yaml"
    there, gone = (_described("lwd", model, {"horizon": [8]}) for model in (LWD, "gone"))
    path.write_text(yaml.safe_dump({"there": there, "gone": gone}))
    assert [method.name for method in load_methods("horizon", path, ["there"])] == ["there"]
    with pytest.raises(MethodsError, match="found no method 'other', expected one of gone, there"):
        load_methods("horizon", path, ["there", "other"])


def test_training_layouts_are_refused(tmp_path):
    with pytest.raises(ModelError, match="belong to demonstrations"):
        compare([_method(500)], [Case()], Rules(TASKS, 1, 5, tmp_path, 1))
