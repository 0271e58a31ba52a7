"""Pins what the page of the Metaworld benchmarks says of results: pooling, ratios, tables, and what is refused."""

import dataclasses
import json

import pytest
from lwd_benchmarks.report import ReportError, headlines, metaworld, ratios
from lwd_benchmarks.report.entries import load
from lwd_benchmarks.report.frame import COLUMNS, episodes, pooled
from lwd_benchmarks.report.page import NONE, head, rate, ratio_interval, render, two_digits
from lwd_benchmarks.results import Count, Protocol
from lwd_benchmarks.statistics import Pooled
from report_support import chain, full_study, latents, reconstruction, result, write

# ---- the frame of episodes


def test_failed_layouts_become_rows():
    counts = {"reach-v3": Count(successes=2, episodes=4, failed_layouts=[701, 701])}
    frame = episodes(counts, Protocol(first_layout=200_000, first_layout_of={"reach-v3": 700}), 2, method="lwd")
    assert frame[["seed", "layout", "success"]].to_numpy().tolist() == [
        [0, 700, True], [0, 701, False], [1, 700, True], [1, 701, False],
    ]  # fmt: skip
    assert pooled(frame) == Pooled(2, 4, 2)
    with pytest.raises(ReportError, match="'reach-v3': found failed layouts that are none of 200000 to 200001"):
        episodes(counts, Protocol(first_layout=200_000), 2)


def test_where_a_result_names_no_layouts_they_are_missing():
    counts = {"reach-v3": Count(successes=5, episodes=6)}
    frame = episodes(counts, Protocol(first_layout=200_000), 3)
    assert frame["layout"].isna().all() and pooled(frame) == Pooled(5, 6, 2)


def test_the_frame_is_tidy(tmp_path):
    write(tmp_path, result(seed=0, successes={"reach-v3": 40}), result(seed=1))
    frame = load(tmp_path).frame
    assert set(COLUMNS) <= set(frame) and len(frame) == 1000
    assert frame.groupby(["seed", "task"])["success"].sum()[0, "reach-v3"] == 40
    failed = frame[~frame["success"]]
    assert failed["layout"].tolist() == list(range(200_000, 200_010)) and set(failed["method"]) == {"lwd"}


# ---- pooling


def test_seeds_of_an_entry_are_pooled_and_the_worst_is_kept(tmp_path):
    write(tmp_path, result(seed=0, successes={"reach-v3": 40}), result(seed=1, successes={"reach-v3": 49}),
          result(seed=2, successes={"push-v3": 30}))  # fmt: skip
    (entry,) = load(tmp_path).entries
    assert entry.total == Pooled(490 + 499 + 480, 1500, 500)
    assert entry.worst_seed == entry.seeds[2] == Pooled(480, 500, 500)
    assert entry.worst_task == ("push-v3", Pooled(130, 150, 50)) and entry.tasks["reach-v3"] == Pooled(139, 150, 50)
    assert entry.generation_ms == pytest.approx(0.51)


def test_a_multi_task_mlp_is_also_counted_without_its_task_inputs(tmp_path):
    kinds = {"mlp": ("multitask_mlp", 852), "lwd": ("lwd", 692)}
    made = [result(name, method=method, parameters=size, groups=["size"]) for name, (method, size) in kinds.items()]
    results = load(write(tmp_path / "a", *made))
    # 21 observations and 10 tasks to 16 units; fixed, the task leaves as many weights as a generated policy has
    assert [entry.folded_parameters for entry in results.of("size")] == [692, 692]
    (found,) = [row for row in ratios.ratios(results) if row.shared]
    assert found.folded.large.parameters == 692 and found.whole.large.parameters == 852


def test_seeds_are_read_in_their_order(tmp_path):
    write(tmp_path, *[result(seed=seed) for seed in (10, 2, 0)])
    assert list(load(tmp_path).entries[0].seeds) == [0, 2, 10]


def test_chains_are_pooled_per_link(tmp_path):
    for seed, last in ((0, 48), (1, 41)):
        write(tmp_path, chain(seed, (("drawer-open-v3", 50), ("drawer-close-v3", last))))
    (found,) = load(tmp_path).chains
    assert found.links == [("drawer-open-v3", Pooled(100, 100, 50)), ("drawer-close-v3", Pooled(89, 100, 50))]


def test_chains_that_do_not_say_their_models_are_pooled_as_well(tmp_path):
    for seed in (0, 1):
        write(tmp_path, {key: value for key, value in chain(seed).items() if key != "model_digest"})
    (found,) = load(tmp_path).chains
    assert found.links[0] == ("drawer-open-v3", Pooled(100, 100, 50))


# ---- ratios


def _sizes(folder, lwd, mlp, **more):
    def size(method, parameters, successes):
        return result(f"{method}_{parameters}", method=method, parameters=parameters, successes=successes,
                      groups=["size"], hidden_layers=[2, 2], **more)  # fmt: skip

    made = [size("lwd", *point) for point in lwd] + [size("multitask_mlp", *point) for point in mlp]
    return load(write(folder, *made))


def test_ratios_are_of_folded_sizes_with_an_interval_over_layouts(tmp_path):
    study = _sizes(tmp_path, [(100, 40), (500, 49)], [(220, 20), (9020, 45)])
    rows = ratios.ratios(study)
    assert [row.folded.success for row in rows] == [0.8, 0.9]
    assert rows[0].folded.large.parameters < rows[0].whole.large.parameters
    shared = rows[-1]
    assert shared.shared and shared.folded.large.parameters == 9000 and shared.whole.large.parameters == 9020
    low, high = shared.interval
    assert 0 < low < shared.folded.ratio < high and shared.seeds == (1, 1)
    assert ratios.ratios(study)[-1].interval == shared.interval


def test_entries_on_different_layouts_are_not_compared(tmp_path):
    _sizes(tmp_path, [(100, 40), (500, 49)], [(9020, 45)])
    moved = result("lwd_500", parameters=500, groups=["size"], hidden_layers=[2, 2])
    moved["protocol"]["first_layout"] = 300_000
    write(tmp_path, moved)
    with pytest.raises(ReportError, match="were judged on different layouts"):
        ratios.ratios(load(tmp_path))


def test_a_shipped_policy_is_set_beside_the_multi_task_mlps(tmp_path):
    _sizes(tmp_path, [(100, 40)], [(220, 20), (9020, 45)])
    study = load(write(tmp_path, result("mt10_visible", successes=49, parameters=500)))
    (found,) = ratios.shipped(study)
    assert found.comparison.large.bound == "more than" and found.largest.parameters == 9020
    assert found.comparison.ratio == 18


def test_what_still_rose_is_named(tmp_path):
    def trained(steps, successes):
        return result(f"mlp_{steps}", method="multitask_mlp", steps=steps, successes=successes, groups=["budget"],
                      layouts="validation")  # fmt: skip

    write(tmp_path / "a", trained(1000, 40), trained(2000, 43))
    (rise,) = ratios.still_rising(load(tmp_path / "a"))
    assert (rise.entry.study.steps, rise.more) == (2000, 30)
    write(tmp_path / "b", trained(1000, 40), trained(2000, 39))
    assert ratios.still_rising(load(tmp_path / "b")) == []


@pytest.mark.parametrize(
    "value, relation, expected",
    [(11.19, ">=", "11"), (11.91, ">=", "11"), (11.91, "=", "12"), (11.01, "<=", "12"), (1234, ">=", "1,200"),
     (5.0, ">=", "5.0"), (3.69, ">=", "3.6"), (0.51, "=", "0.51")],
)  # fmt: skip
def test_bounds_are_rounded_so_that_they_stay_bounds(value, relation, expected):
    assert two_digits(value, relation) == expected


def test_numbers_are_written_as_they_are_meant():
    assert rate(1.0) == "1.000" and rate(7499 / 7500) == "0.9999" and rate(0.9794) == "0.979"
    assert ratio_interval((5.31, 2432.3)) == "5.3 to 2,500" and ratio_interval((7.5, float("inf"))) == "7.5 or more"
    assert head("a", ["b", "c"]) == "| a | b | c |\n| --- | ---: | ---: |"


# ---- the page


def text_of(study) -> str:
    figures = headlines.nested(headlines.joined(headlines.of_study(study)))
    return render("metaworld.md", figures | metaworld.context(study))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return load(full_study(tmp_path_factory.mktemp("study")))


@pytest.fixture(scope="module")
def page(study):
    return text_of(study)


def test_the_page_is_filled_and_the_same_again(study, page):
    assert "{{" not in page and "{%" not in page and text_of(study) == page
    assert "| MT10, visible | 692 | 3 | 1,500 |" in page and "| MT50, hidden |" in page
    for name in metaworld.PLOTS:
        assert f"](images/metaworld_{name}.png)" in page


def test_pictures_are_small_and_without_a_trace_of_their_making(study, tmp_path):
    made = []
    for name in "ab":
        pages_report(study).draw("metaworld", tmp_path / name)
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.png")})
    assert made[0] == made[1] and len(made[0]) == len(metaworld.PLOTS)
    for name, content in made[0].items():
        assert content[:4] == b"\x89PNG" and len(content) < 150_000, name
        assert b"tEXt" not in content and b"tIME" not in content


def pages_report(study):
    from lwd_benchmarks.report.pages import Report

    return Report({"metaworld": study}, {})


def test_a_picture_of_results_that_are_gone_is_removed(study, tmp_path):
    path = tmp_path / "images/metaworld_size.png"
    path.parent.mkdir()
    path.write_bytes(b"old")
    pages_report(load(tmp_path / "nothing")).draw("metaworld", tmp_path)
    assert not path.exists()


def test_mt50_begins_with_the_weakest_task(tmp_path):
    study = load(write(tmp_path, result("lwd", set="mt50", successes={"door-close-v3": 3, "soccer-v3": 20})))
    rows = metaworld.context_rows("mt50", list(study.entries))
    assert rows[:2] == ["door-close-v3", "soccer-v3"] and len(rows) == 50


def test_the_expert_stands_beside_both_goals_without_a_seed(study, page):
    for goal in ("visible", "hidden"):
        assert study.of("main", "mt10", goal)[-1].is_expert
    assert page.count(" scripted expert |\n") == 4
    assert f"| training seeds | 3 | 3 | 3 | 3 | 3 | 3 | {NONE} |" in page


def test_studies_pool_counts_and_average_the_rest(tmp_path):
    for seed, decoded in ((0, 20), (1, 16)):
        content = reconstruction(seed=seed, decoded=decoded)
        content["mean"]["same_layout_mm"] = 10.0 + 4 * seed
        (tmp_path / f"reconstruction_a_seed{seed}.json").write_text(json.dumps(content))
        content = latents(seed=seed)
        content["tasks"]["push-v3"]["nearest_encoded_is_of_the_task"] = 0.5 + 0.2 * seed
        content["diversity"]["push-v3"]["many_layouts"]["successes"] = 8 - seed
        (tmp_path / f"latents_a_seed{seed}.json").write_text(json.dumps(content))
    study = load(tmp_path)
    (row,) = metaworld.reconstruction_rows(study)
    assert (row["name"], row["seeds"], row["expert"].episodes) == ("mt10 visible", 2, 400)
    assert row["decoded"] == Pooled(360, 400, 200) and row["mean"]["same_layout_mm"] == 12.0
    (row,) = metaworld.latents_rows(study)
    assert (row["samples"], row["lowest"]) == (800, ("push-v3", pytest.approx(0.6)))
    assert row["own"] == pytest.approx(0.92) and row["explained"] == pytest.approx(0.4)
    row = next(row for row in metaworld.diversity_rows(study) if row["task"] == "push-v3")
    assert [variety["count"].successes for variety in row["varieties"]] == [16, 15]
    assert row["varieties"][1]["weight_distance"] == pytest.approx(0.2)


def test_figures_are_known_by_place_and_by_entry(study):
    found = headlines.joined(headlines.of_study(study))
    assert found["mt10.visible.lwd.parameters"] == 692 and found["mt10.visible.lwd.episodes"] == 1500
    assert found["mt10.visible.multitask_mlp.parameters"] == found["entry.mt10_visible_multitask_mlp.parameters"]
    assert found["mt10.visible.lwd.layouts"] == 500 and "mt10.visible.expert.seeds" not in found
    assert found["ratio.mt50.visible.shared.times"] > 1
    nested = headlines.nested(found)
    assert nested["chain"]["drawer"]["successes"] == 144


def test_the_entry_named_after_set_and_goal_stands_for_it(tmp_path):
    small = result(entry="mt10_tiny", parameters=328, hidden_layers=[9, 9])
    shipped = [result(entry="mt10_visible", seed=seed) for seed in range(2)]
    found = headlines.joined(headlines.of_study(load(write(tmp_path, small, *shipped))))
    assert (found["mt10.visible.lwd.parameters"], found["mt10.visible.lwd.seeds"]) == (692, 2)
    assert found["entry.mt10_tiny.parameters"] == 328


def test_two_figures_of_one_name_are_refused():
    with pytest.raises(ReportError, match="found 'a' twice"):
        headlines.joined(iter([("a", 1.0)]), iter([("a", 2.0)]))


def test_tasks_on_layouts_of_their_own_are_named(tmp_path, study):
    moved = result(successes={"push-v3": 49})
    moved["protocol"]["first_layout_of"] = {"push-v3": 700_000}
    moved["tasks"]["push-v3"]["failed_layouts"] = [700_003]
    found = load(write(tmp_path, moved))
    assert found.frame[~found.frame["success"]]["layout"].tolist() == [700_003]
    assert metaworld.moved(found.entries) == {700_000: ["push"]}


# ---- what is refused


def broken(tmp_path, content, name="mt10_lwd_seed0"):
    (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with pytest.raises(ReportError) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / name}.json: ") and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["mt10_lwd_seed1", "mt50_lwd_seed0", "mt10_lwd"])
def test_a_name_that_contradicts_the_block_is_refused(tmp_path, name):
    found = broken(tmp_path, result(), name)
    assert "found entry 'mt10_lwd' and seed 0, expected the name 'mt10_lwd_seed0.json'" in found


def test_unknown_methods_and_missing_tasks_are_refused(tmp_path):
    assert "found method 'magic', expected one of lwd," in broken(tmp_path, result(method="magic"))
    content = result()
    del content["tasks"]["reach-v3"]
    assert "found 9 tasks, expected those of mt10; 'reach-v3' differs" in broken(tmp_path, content)


def test_what_is_reported_is_judged_on_reporting_layouts(tmp_path):
    found = broken(tmp_path, result(layouts="validation"))
    assert "group 'main': found validation layouts, expected reporting ones" in found
    (tmp_path / "mt10_lwd_seed0.json").unlink()
    content = chain()
    content["study"]["layouts"], content["protocol"]["first_layout"] = "validation", 100_000
    assert "found validation layouts" in broken(tmp_path, content, "chain_drawer_seed0")


def test_seeds_that_do_not_fit_together_are_refused(tmp_path):
    write(tmp_path, result(seed=0))
    name = "mt10_lwd_seed1"
    found = broken(tmp_path, result(seed=1, parameters=328), name)
    assert "found parameters 328, expected 692 as in the entry's other seeds" in found
    copied = result(seed=1) | {"model_digest": result(seed=0)["model_digest"]}
    assert "found the model of seed 0, expected one trained with seed 1" in broken(tmp_path, copied, name)
    moved = result(seed=1)
    moved["protocol"]["first_layout"] = 300_000
    assert "found first_layout 300000, expected 200000 as in the entry's other seeds" in broken(tmp_path, moved, name)


def test_results_of_different_data_are_not_joined(tmp_path):
    write(tmp_path, result())
    other = result("mt10_mlp", method="multitask_mlp")
    other["study"]["job"]["data_digest"] = "b4d8366822615ca0"
    found = broken(tmp_path, other, "mt10_mlp_seed0")
    assert "found data digest b4d836682261…, expected mt10's… as in mt10_lwd_seed0.json" in found
    (tmp_path / "mt10_mlp_seed0.json").unlink()
    content = latents(seed=1) | {"data_digest": "b4d8366822615ca0"}
    (tmp_path / "latents_mt10_visible_seed0.json").write_text(json.dumps(latents()))
    (tmp_path / "latents_mt10_visible_seed1.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match=r"as in latents_mt10_visible_seed0\.json: .* cannot stand in one table"):
        load(tmp_path)


def test_a_table_of_other_data_says_so(tmp_path, study):
    other = chain()
    other["study"]["job"]["data_digest"] = "b4d8366822615ca0"
    found = load(write(tmp_path, result(), other))
    assert found.of_other_data("chain") == ["MT10"] and study.of_other_data("chain") == []
    said = "The rows of MT10 here learned from another collection of demonstrations"
    moved = dataclasses.replace(study, digests=study.digests | {("chain", "mt10"): "b4"})
    assert said in text_of(moved) and said not in text_of(study)


def test_an_unknown_name_in_a_template_is_one_sentence(tmp_path):
    (tmp_path / "a.md.j2").write_text("first\n{{ mt10.visible.lwd.succes }}\n")
    with pytest.raises(ReportError, match=r"a\.md.*line 2: .*no attribute 'succes'") as error:
        render("a.md", {"mt10": {"visible": {"lwd": {"success": 1}}}}, tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / "a.md.j2").write_text("{{ first")
    with pytest.raises(ReportError, match=r"a\.md\.j2, line 1"):
        render("a.md", {}, tmp_path)
    with pytest.raises(ReportError, match=r"b\.md"):
        render("b.md", {}, tmp_path)
