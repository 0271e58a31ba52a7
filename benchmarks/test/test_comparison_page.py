"""Pins the page that compares LWD with Diffusion Policy: what it says of results, and what is refused."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from lwd_benchmarks.report import text
from lwd_benchmarks.report.comparison import PLOTS, comparison_text, contents, load, make_comparison
from lwd_benchmarks.report.errors import ReportError
from lwd_benchmarks.studies.trials import Counts

from lwd_ros.cli import cli

ROOT = Path(__file__).parent.parent
DOCUMENTS = ROOT / "docs/benchmarks"
TEMPLATE = DOCUMENTS / "diffusion_policy.template.md"


def row(successes: int, horizon: int = 500, queries: float = 1.0, **more) -> dict:
    """A row as studies write it: ten episodes of each of two tasks, the second of which fails first."""
    counts = {"reach-v3": max(0, successes - 10), "push-v3": min(10, successes)}
    outcomes = {(task, n): (n < good,) for task, good in counts.items() for n in range(10)}
    made = Counts(outcomes, round(queries * 20), 20 * 100, round(queries * successes), 70 * successes).to_dict()
    return {**made, "horizon": horizon, "training_seeds": 1, "thinking_steps": 0, "models": [], **more}


def result(study: str, methods: dict) -> dict:
    return {
        "study": study,
        "machine": {"cpu": "Some CPU", "cores": 2},
        "protocol": {"first_layout": 200_000, "episodes_per_task": 10},
        "episode_hours": 1.25,
        "methods": methods,
    }


def costs(query: float, control_step: float, ms: float, queries: float) -> dict:
    flops = {"query": query, "policy_step": 7.0, "control_step": control_step}
    spent = {"diffusion_ms_per_episode": ms * queries, "diffusion_ms_per_success": ms * queries}
    return {"flops": flops, "query_ms": ms, **spent}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Results of all four studies."""
    cheap, dear = costs(1e6, 2e3, 0.5, 1), costs(1e9, 1e8, 9, 12)
    horizon = {
        "lwd": [row(20, 8, 12, **cheap), row(19, 500, 1, **cheap)],
        "diffusion_policy": [row(18, 8, 12, **dear), row(6, 500, 1, **dear)],
        "diffusion_policy_160": [row(12, 8, 12, **dear), row(6, 500, 1, **dear)],
        "multitask_mlp": [row(20, 500, 1, **cheap)],
    }
    cases = (("none", 0, ""), ("observation delay", 4, "steps"), ("action noise", 0.3, "of the limit"),
             ("dropped observations", 0.5, "share"))  # fmt: skip
    drops = {
        "lwd": ((0, 0), (0.1, -0.2), (0.2, 0.05), (0.25, 0.01)),
        "diffusion_policy": ((0, 0), (0.3, 0), (0.15, 0), (0.25, 0)),
    }
    disturbance = {
        method: [
            row(
                20 - round(20 * less),
                500 if method == "lwd" else 8,
                disturbance=name,
                level=level,
                unit=unit,
                drop=less,
                drop_interval=[0.0, 0.4],
                extra_drop=more,
                extra_drop_interval=[more - 0.02, more + 0.02],
                lead=0.1 - more,
                lead_interval=[0.07 - more, 0.13 - more],
                reference=["diffusion_policy", 8],
            )
            for (name, level, unit), (less, more) in zip(cases, found, strict=True)
        ]
        for method, found in drops.items()
    }
    latency = {
        method: [
            row(20 - slower - worse, horizon, times_slower=slower, meanwhile=meanwhile, query_ms=9.0 * slower)
            for slower in (1, 10)
            for worse, meanwhile in enumerate(("stands", "plays on", "pauses"))
        ]
        for method, horizon in (("lwd", 500), ("diffusion_policy", 8))
    }
    convergence = {f"16 actions@{steps}": [row(good, 8)] for steps, good in ((10_000, 17), (5_000, 12))}
    convergence["160 actions@10000"] = [row(11, 8), row(5, 500)]
    made = {"horizon": horizon, "disturbance": disturbance, "latency": latency, "convergence": convergence}
    for study, methods in made.items():
        (tmp_path / f"{study}.json").write_text(json.dumps(result(study, methods)))
    return tmp_path


def test_goals_are_set_beside_what_was_got(folder):
    lines = contents(load(folder))["table:goals"].splitlines()[2:]
    found = {cells[0].strip("| "): cells[1:] for cells in (line.strip(" |").split(" | ") for line in lines)}
    once = "Diffusion Policy of 160 actions: success at one query an episode over"
    under = "LWD, goal visible: disturbances under which it"
    over = "Diffusion Policy over LWD, goal visible"
    assert found == {
        "LWD, goal visible: success at one query an episode over its own at a query every 8 steps": [
            "≥ 0.95", "0.950", "yes",
        ],
        f"{once} its own at a query every 8 steps": ["< 0.5", "0.500", "no"],
        f"{once} that of 16 actions at a query every 8": ["< 0.5", "0.333", "yes"],
        "Diffusion Policy: success at a query every 8 steps": ["≥ 0.9", "0.900", "yes"],
        f"FLOPs a control step, {over}": ["≥ 45", "50,000 every 8 steps, 50,000 at one query", "yes"],
        f"diffusion time of an episode that succeeds, {over}": [
            "≥ 100", "216 every 8 steps, 216 at one query", "yes",
        ],
        f"{under} drops by more than Diffusion Policy": ["≤ 0", "2 of 3; 1 beyond chance", "no"],
        f"{under} is below Diffusion Policy": ["≤ 0", "0 of 3; 0 beyond chance", "yes"],
    }  # fmt: skip


def test_goals_of_a_method_are_judged_at_the_horizon_that_it_is_meant_for(folder):
    path = folder / "disturbance.json"
    content = json.loads(path.read_text())
    before = contents(load(folder))["table:goals"]
    often = [found | {"horizon": 8, "extra_drop": 0.9, "lead": -0.9} for found in content["methods"]["lwd"]]
    content["methods"]["lwd"] += often
    path.write_text(json.dumps(content))
    assert contents(load(folder))["table:goals"] == before


def test_tables_say_what_the_results_say(folder):
    found = contents(load(folder))
    once = "| Diffusion Policy | 500 | 1.0 | 108 | 6/20 | 6/20 | 1 | 0.300 | 0.145 to 0.519 | 0.33 |"
    assert once in found["table:horizon"]
    assert f"| multi-task MLP | 500 | {text.NONE} | {text.NONE} | 20/20 | 20/20 | 1 | 1.000 |" in found["table:horizon"]
    spent = {tuple(line.split(" | ")[:2]): line.split(" | ")[6:] for line in found["table:cost"].splitlines()}
    assert spent["| Diffusion Policy", "8"][-1] == "216 |"
    assert spent["| Diffusion Policy", "500"][-1] == "216 |"
    assert spent["| multi-task MLP", "500"] == [text.NONE, text.NONE, text.NONE, f"{text.NONE} |"]
    assert "| reach-v3 | 9/10 | 8/10 | 0/10 |" in found["table:tasks"]
    assert "| disturbance | LWD, goal visible, 500 | Diffusion Policy, 8 |" in found["table:disturbance"]
    assert "| *training seeds* | 1 | 1 |" in found["table:disturbance"]
    delayed = "0.900 (0.699 to 0.972), -0.100 | 0.700 (0.481 to 0.855), -0.300"
    assert f"| observation delay, 4 steps | {delayed} |" in found["table:disturbance"]
    assert "| action noise, 0.3 of the limit | +0.050 (+0.020 to +0.080) |" in found["table:lead"]
    assert "none" in found["table:lead"] and "none" not in found["table:extra"]
    assert "| action noise, 0.3 of the limit | **+0.050 (+0.030 to +0.070)** |" in found["table:extra"]
    assert "| dropped observations, 0.5 share | +0.010 (-0.010 to +0.030) |" in found["table:extra"]
    assert "| LWD, goal visible | 500 | 10 | 90.0 | 0 | 20 | 1 | 0.500 (" in found["table:latency"]
    first = found["table:latency"].splitlines()[2].strip(" |").split(" | ")
    assert [cell.partition(" ")[0] for cell in first[7:]] == ["0.950", "0.900", "0.850"]
    assert all(cell.endswith("), 70") for cell in first[7:])
    assert found["value:horizon.first_layout"] == "200,000" and found["value:horizon.cpu"] == "Some CPU"
    assert found["value:disturbance.episode_hours"] == "1.2"


def test_trainings_are_set_beside_the_longest_which_the_study_of_horizons_has(folder):
    table = contents(load(folder))["table:convergence"].splitlines()
    assert table[0] == "| network | 5,000 | 10,000 | 20,000 |"
    points = "12/20 (0.387 to 0.781) | 17/20 (0.640 to 0.948) | 18/20 (0.699 to 0.972)"
    assert f"| 16 actions, horizon 8 | {points} |" in table
    assert f"| 160 actions, horizon 500 | {text.NONE} | 5/20 (0.112 to 0.469) | 6/20 (0.145 to 0.519) |" in table
    path = folder / "convergence.json"
    content = json.loads(path.read_text())
    content["protocol"]["first_layout"] = 100_000
    path.write_text(json.dumps(content))
    with pytest.raises(ReportError, match=r"convergence\.json: found first_layout 100000, expected 200000"):
        load(folder)


def test_methods_come_in_one_order_however_they_were_run(folder):
    path = folder / "disturbance.json"
    content = json.loads(path.read_text())
    before = contents(load(folder))
    content["methods"] = dict(reversed(content["methods"].items()))
    path.write_text(json.dumps(content))
    assert contents(load(folder)) == before


def test_bold_is_what_is_worse_beyond_chance(folder):
    path = folder / "disturbance.json"
    content = json.loads(path.read_text())
    content["methods"]["lwd"][2] |= {"lead": -0.1, "lead_interval": [-0.2, -0.01]}
    path.write_text(json.dumps(content))
    found = contents(load(folder))
    assert "| action noise, 0.3 of the limit | **-0.100 (-0.200 to -0.010)** |" in found["table:lead"]
    assert found["table:goals"].endswith("is below Diffusion Policy | ≤ 0 | 1 of 3; 1 beyond chance | no |")


def test_the_hard_tasks_are_counted_apart(folder):
    path = folder / "horizon.json"
    content = json.loads(path.read_text())
    for found in (row for rows in content["methods"].values() for row in rows):
        found["tasks"]["door-open-v3"] = found["tasks"].pop("push-v3")
    path.write_text(json.dumps(content))
    assert "| LWD, goal visible | 500 | 1.0 | 0.5 | 19/20 | 9/10 |" in contents(load(folder))["table:horizon"]


def test_a_curve_has_a_gap_where_the_network_changes(folder):
    content = json.loads((folder / "horizon.json").read_text())
    often, once = content["methods"]["diffusion_policy"]
    often["models"], once["models"] = [{"model": "a.onnx"}], [{"model": "b.onnx"}]
    left, _ = PLOTS["horizon"][0]({"horizon": content}).axes
    networks = [
        line.get_xdata() for line in left.get_lines() if line.get_color() == "#D55E00" and line.get_marker() == "s"
    ]
    assert sorted(list(places) for places in networks) == [[8], [500]]


def test_bars_of_a_push_and_of_none_are_of_the_same_tasks(folder):
    content = json.loads((folder / "disturbance.json").read_text())
    for rows in content["methods"].values():
        pushed = row(10, rows[0]["horizon"], disturbance="push of the object", level=1, unit="m/s")
        pushed["tasks"] = {"push-v3": {"successes": 3, "episodes": 10}}
        rows.append(pushed)
    panel = PLOTS["disturbance"][0]({"disturbance": content}).axes[-1]
    assert panel.get_title() == "push of the object"
    assert [bar.get_height() for bar in panel.patches] == [1.0, 0.3, 1.0, 0.3]


def test_the_page_and_its_pictures_are_the_same_bytes_again(folder, tmp_path):
    made = []
    for name in ("a", "b"):
        page = make_comparison(folder, tmp_path / name, TEMPLATE)
        files = sorted((tmp_path / name).rglob("*"))
        made.append({file.relative_to(tmp_path / name): file.read_bytes() for file in files if file.is_file()})
    assert made[0] == made[1] and len(made[0]) == 1 + len(PLOTS)
    content = page.read_text()
    assert page.name == "diffusion_policy.md" and "{{" not in content and "No results yet" not in content
    assert all(f"(images/diffusion_policy_{name}.png)" in content for name in PLOTS)


def test_every_study_alone_and_none_render(folder, tmp_path):
    for name in ("nothing", *PLOTS):
        alone = tmp_path / f"alone_{name}"
        alone.mkdir()
        if name != "nothing":
            (alone / f"{name}.json").write_bytes((folder / f"{name}.json").read_bytes())
        page = make_comparison(alone, alone / "out", TEMPLATE)
        assert "{{" not in page.read_text()
        assert len(list((alone / "out").rglob("*.png"))) == (name != "nothing")
    assert contents({})["table:goals"] == text.NONE
    assert contents({})["table:lead"] == "*No results of `lwd study disturbance` yet.*"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"success": 0.9}, r"found success 0\.9, which its counts contradict"),
        ({"successes": 18, "success": 0.9}, r"found success 0\.9, which its counts contradict"),
        ({"tasks": None}, "is not the result of a study"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(folder, change, sentence):
    content = json.loads((folder / "horizon.json").read_text())
    content["methods"]["lwd"][1] |= change
    (folder / "horizon.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match=sentence):
        load(folder)


def test_what_is_no_result_is_refused(folder):
    content = json.loads((folder / "latency.json").read_text())
    del content["methods"]["lwd"][0]["queries_per_success"]
    (folder / "latency.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match=r"latency\.json: found a row without 'queries_per_success'"):
        load(folder)
    (folder / "latency.json").write_text("{")
    with pytest.raises(ReportError, match=r"latency\.json: is not the result of a study"):
        load(folder)


def test_methods_with_other_cases_are_refused(folder):
    content = json.loads((folder / "disturbance.json").read_text())
    del content["methods"]["lwd"][1]
    (folder / "disturbance.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match="'observation delay' at 4 steps is not there for every method"):
        contents(load(folder))


def test_the_command_writes_the_pages_that_have_results(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    given = ["report", "--out", str(out)]
    named = [*given, "--page", "diffusion_policy", "--results", str(folder), "--template", str(TEMPLATE)]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, given)
    assert done.exit_code == 0 and done.output.count("no page of them") == 3 and not out.exists()
    assert CliRunner().invoke(cli, named).exit_code == 0 and (out / "diffusion_policy.md").exists()
    refused = CliRunner().invoke(cli, [*given, "--results", str(folder)])
    assert refused.exit_code == 2 and "expected --page as well" in refused.output
    (tmp_path / "empty").mkdir()
    before = (out / "diffusion_policy.md").read_text()
    nothing = CliRunner().invoke(cli, [*named[:6], str(tmp_path / "empty")])
    assert nothing.exit_code == 2 and "found no result in" in nothing.output
    assert (out / "diffusion_policy.md").read_text() == before
    mistyped = CliRunner().invoke(cli, ["report", "--page", "diffusion_policy", "--results", str(tmp_path / "none")])
    assert mistyped.exit_code == 2 and "does not exist" in mistyped.output


# ---- what is committed


def test_the_committed_page_is_what_the_committed_results_give():
    results = load(DOCUMENTS / "results")
    assert "horizon" in results
    made = comparison_text(results, TEMPLATE)
    assert (DOCUMENTS / "diffusion_policy.md").read_text(encoding="utf-8") == made, "run 'lwd report' and commit it"
    shown = {part.split(")")[0] for part in made.split("](images/")[1:]}
    assert shown == {f"diffusion_policy_{name}.png" for name in results}
    for name in shown:
        assert (DOCUMENTS / "images" / name).is_file()
