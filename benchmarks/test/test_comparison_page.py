"""Pins the page that compares LWD with Diffusion Policy: what it says of results, and what is refused."""

import json
from pathlib import Path

import pytest
from lwd_benchmarks.report import ReportError, comparison
from lwd_benchmarks.report.comparison import load
from lwd_benchmarks.report.comparison_plots import PLOTS
from lwd_benchmarks.report.headlines import joined, nested
from lwd_benchmarks.report.page import NONE, render
from lwd_benchmarks.report.pages import Report
from lwd_benchmarks.results import ResultError
from lwd_benchmarks.studies.trials import Counts


def row(successes: int, horizon: int = 500, queries: float = 1.0, **more) -> dict:
    """A row as studies write it: ten episodes of each of two tasks, the second of which fails first."""
    counts = {"reach-v3": max(0, successes - 10), "push-v3": min(10, successes)}
    outcomes = {(task, 200_000 + n): (n < good,) for task, good in counts.items() for n in range(10)}
    made = Counts(outcomes, round(queries * 20), 20 * 100, round(queries * successes), 70 * successes).to_dict()
    return {**made, "horizon": horizon, "training_seeds": 1, "thinking_steps": 0, "models": [], **more}


def result(study: str, methods: dict) -> dict:
    return {
        "study": study,
        "machine": {"cpu": "Some CPU", "cores": 2},
        "lwd_ros": "0.1.0",
        "protocol": {
            "success": "at any step of 500",
            "policy_seed": "layout + 1",
            "disturbance_seed": "layout",
            "first_layout": 200_000,
            "episodes_per_task": 10,
            "tasks": ["reach-v3", "push-v3"],
            "revision": 5,
        },
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
        "diffusion_policy": [row(18, 8, 12, **dear), row(15, 16, 6, **dear), row(6, 500, 1, **dear)],
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


def goals(folder) -> dict[str, tuple]:
    return {name: rest for name, *rest in comparison.goals(load(folder))}


def text_of(folder) -> str:
    studies = load(folder)
    known = nested(joined(comparison.figures(studies)))
    # What the template's prose names of methods that these results lack.
    case = dict.fromkeys(("successes", "episodes"), 0)
    cases = dict.fromkeys(("push_of_the_hand_0_1", "observation_delay_8", "none_0"), case)
    disturbed = {name: {"h8": cases, "h500": cases} for name in ("lwd", "lwd_robust", "diffusion_policy")}
    disturbed["diffusion_policy_160_10k"] = {"h500": cases}
    return render("diffusion_policy.md", known | {"disturbed": disturbed} | comparison.context(studies))


def test_goals_are_set_beside_what_was_got(folder):
    found = goals(folder)
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
        f"FLOPs a control step, {over}": ["≥ 45", "50,000 every 8 steps, 50,000 every 16, 50,000 at one query", "yes"],
        f"diffusion time of an episode that succeeds, {over}": [
            "≥ 100", "216 every 8 steps, 216 every 16, 216 at one query", "yes",
        ],
        f"{under} drops by more than Diffusion Policy": ["≤ 0", "2 of 3; 1 beyond chance", "no"],
        f"{under} is below Diffusion Policy": ["≤ 0", "0 of 3; 0 beyond chance", "yes"],
    }  # fmt: skip


def test_goals_of_a_method_are_judged_at_the_horizon_that_it_is_meant_for(folder):
    path = folder / "disturbance.json"
    content = json.loads(path.read_text())
    before = goals(folder)
    often = [found | {"horizon": 8, "extra_drop": 0.9, "lead": -0.9} for found in content["methods"]["lwd"]]
    content["methods"]["lwd"] += often
    path.write_text(json.dumps(content))
    assert goals(folder) == before


def table(text: str, *columns: str) -> list[list[str]]:
    """The cells of the first table whose header has these columns, its header first."""
    lines = text.splitlines()
    start = next(
        i for i, line in enumerate(lines) if line.startswith("| ") and all(f"| {c} |" in line for c in columns)
    )
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start:end] if "---" not in line]


def test_tables_say_what_the_results_say(folder):
    text = text_of(folder)
    found = table(text, "over its own at 8")
    assert ["Diffusion Policy", "500", "1.0", "108", "6/20", "6/20", "1", "0.300", "0.145 to 0.519", "0.33"] in found
    assert found[-1][:8] == ["multi-task MLP", "500", NONE, NONE, "20/20", "20/20", "1", "1.000"]
    spent = {tuple(cells[:2]): cells[6:] for cells in table(text, "FLOPs a query")}
    assert spent["Diffusion Policy", "8"][-1] == spent["Diffusion Policy", "500"][-1] == "216"
    assert spent["multi-task MLP", "500"] == [NONE] * 4
    by_task = table(text, "task", "LWD, goal visible, 500")
    assert by_task[1][:4] == ["reach-v3", "9/10", "8/10", "0/10"]
    disturbed = table(text, "disturbance", "Diffusion Policy, 8")
    assert disturbed[0] == ["disturbance", "LWD, goal visible, 500", "Diffusion Policy, 8"]
    assert disturbed[1] == ["*training seeds*", "1", "1"]
    delayed = ["0.900 (0.699 to 0.972), -0.100", "0.700 (0.481 to 0.855), -0.300"]
    assert ["observation delay, 4 steps", *delayed] in disturbed
    assert "| action noise, 0.3 of the limit | +0.050 (+0.020 to +0.080) |" in text
    assert "| action noise, 0.3 of the limit | **+0.050 (+0.030 to +0.070)** |" in text
    assert "| dropped observations, 0.5 share | +0.010 (-0.010 to +0.030) |" in text
    lead, extra = (part.split("\n\n")[0] for part in text.split("| disturbance | LWD, goal visible, 500 |\n")[1:])
    assert "| none |" in lead and "| none |" not in extra
    slow = table(text, "computer slower by")
    assert slow[2][:7] == ["LWD, goal visible", "500", "10", "90.0", "0", "20", "1"]
    assert [cell.partition(" ")[0] for cell in slow[1][7:]] == ["0.950", "0.900", "0.850"]
    assert all(cell.endswith("), 70") for cell in slow[1][7:])
    assert "on layouts from\n  200,000 up" in text and "onnxruntime on Some CPU (2 cores)" in text
    assert "took 1.2, 1.2 and\n  1.2 hours" in text


def test_trainings_are_set_beside_the_longest_which_the_study_of_horizons_has(folder):
    found = table(text_of(folder), "network")
    assert found[0] == ["network", "5,000", "10,000", "20,000"]
    points = ["12/20 (0.387 to 0.781)", "17/20 (0.640 to 0.948)", "18/20 (0.699 to 0.972)"]
    assert ["16 actions, horizon 8", *points] in found
    assert ["160 actions, horizon 500", NONE, "5/20 (0.112 to 0.469)", "6/20 (0.145 to 0.519)"] in found
    path = folder / "convergence.json"
    content = json.loads(path.read_text())
    content["protocol"]["first_layout"] = 100_000
    path.write_text(json.dumps(content))
    with pytest.raises(ReportError, match=r"convergence\.json: found first_layout 100000, expected 200000"):
        load(folder)


def test_intervals_count_layouts_where_seeds_are_pooled(folder):
    path = folder / "horizon.json"
    content = json.loads(path.read_text())
    pooled = content["methods"]["lwd"][1] | {"training_seeds": 2}
    for task in pooled["tasks"].values():
        del task["failed_layouts"]
    content["methods"]["lwd"][1] = pooled
    path.write_text(json.dumps(content))
    count = load(folder)["horizon"].at("lwd", 500).count
    assert (count.successes, count.episodes, count.layouts) == (19, 20, 10)


def test_methods_come_in_one_order_however_they_were_run(folder):
    path = folder / "disturbance.json"
    content = json.loads(path.read_text())
    before = text_of(folder)
    content["methods"] = dict(reversed(content["methods"].items()))
    path.write_text(json.dumps(content))
    assert text_of(folder) == before


def test_bold_is_what_is_worse_beyond_chance(folder):
    path = folder / "disturbance.json"
    content = json.loads(path.read_text())
    content["methods"]["lwd"][2] |= {"lead": -0.1, "lead_interval": [-0.2, -0.01]}
    path.write_text(json.dumps(content))
    found = text_of(folder)
    assert "| action noise, 0.3 of the limit | **-0.100 (-0.200 to -0.010)** |" in found
    assert "is below Diffusion Policy | ≤ 0 | 1 of 3; 1 beyond chance | no |" in found


def test_the_hard_tasks_are_counted_apart(folder):
    path = folder / "horizon.json"
    content = json.loads(path.read_text())
    for found in (row for rows in content["methods"].values() for row in rows):
        found["tasks"]["door-open-v3"] = found["tasks"].pop("push-v3")
    content["protocol"]["tasks"] = ["reach-v3", "door-open-v3"]
    path.write_text(json.dumps(content))
    assert "| LWD, goal visible | 500 | 1.0 | 0.5 | 19/20 | 9/10 |" in text_of(folder)


def test_a_curve_has_a_gap_where_the_network_changes(folder):
    path = folder / "horizon.json"
    content = json.loads(path.read_text())
    for found, name in zip(content["methods"]["diffusion_policy"], "aab", strict=True):
        found["models"] = [{"model": f"{name}.onnx", "sha256": name}]
    path.write_text(json.dumps(content))
    left, _ = PLOTS["horizon"](load(folder)).axes
    networks = [
        line.get_xdata() for line in left.get_lines() if line.get_color() == "#D55E00" and line.get_marker() == "s"
    ]
    assert sorted(list(places) for places in networks) == [[8, 16], [500]]


def test_bars_of_a_push_and_of_none_are_of_the_same_tasks(folder):
    path = folder / "disturbance.json"
    content = json.loads(path.read_text())
    for rows in content["methods"].values():
        pushed = row(3, rows[0]["horizon"], disturbance="push of the object", level=1, unit="m/s")
        counts = {"successes": 3, "episodes": 10, "failed_layouts": list(range(200_000, 200_007))}
        rows.append(pushed | {"tasks": {"push-v3": counts}, "episodes": 10, "success": 0.3})
    path.write_text(json.dumps(content))
    panel = PLOTS["disturbance"](load(folder)).axes[-1]
    assert panel.get_title() == "push of the object"
    assert [bar.get_height() for bar in panel.patches] == [1.0, 0.3, 1.0, 0.3]


def test_the_page_and_its_pictures_are_the_same_bytes_again(folder, tmp_path):
    assert text_of(folder) == text_of(folder)
    made = []
    for name in ("a", "b"):
        Report({"diffusion_policy": load(folder)}, {}).draw("diffusion_policy", tmp_path / name)
        made.append({file.name: file.read_bytes() for file in (tmp_path / name).rglob("*.png")})
    assert made[0] == made[1] and len(made[0]) == len(PLOTS)
    content = text_of(folder)
    assert "{{" not in content
    assert all(f"(images/diffusion_policy_{name}.png)" in content for name in PLOTS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"success": 0.9}, r"found success 0\.9, which its counts contradict"),
        ({"successes": 18, "success": 0.9}, r"found success 0\.9, which its counts contradict"),
        ({"tasks": None}, "key 'methods.lwd.1.tasks': Input should be a valid dictionary"),
        ({"colour": "red"}, "key 'methods.lwd.1.colour': Extra inputs are not permitted"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(folder, change, sentence):
    content = json.loads((folder / "horizon.json").read_text())
    content["methods"]["lwd"][1] |= change
    (folder / "horizon.json").write_text(json.dumps(content))
    with pytest.raises(ResultError, match=sentence):
        load(folder)


def test_what_is_no_result_is_refused(folder):
    content = json.loads((folder / "latency.json").read_text())
    del content["methods"]["lwd"][0]["queries_per_success"]
    (folder / "latency.json").write_text(json.dumps(content))
    with pytest.raises(ResultError, match=r"latency\.json: key 'methods.lwd.0.queries_per_success': Field required"):
        load(folder)
    (folder / "latency.json").write_text("{")
    with pytest.raises(ResultError, match=r"latency\.json: cannot be read"):
        load(folder)
    (folder / "latency.json").unlink()
    with pytest.raises(ResultError, match=r"latency\.json: cannot be read"):
        load(folder)


def test_methods_with_other_cases_are_refused(folder):
    content = json.loads((folder / "disturbance.json").read_text())
    del content["methods"]["lwd"][1]
    (folder / "disturbance.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match="'observation delay, 4 steps' is not there for every method"):
        text_of(folder)


def test_a_study_without_lwd_is_one_sentence(folder):
    content = json.loads((folder / "horizon.json").read_text())
    del content["methods"]["lwd"]
    (folder / "horizon.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match=r"horizon\.json: found no 'lwd' at horizon 500"):
        text_of(folder)
