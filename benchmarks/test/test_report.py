"""Pins what the benchmark document says of results: pooling, ratios of parameters, markers, and what is refused."""

import json
from pathlib import Path

import pytest
from lwd_benchmarks.report import pictures, tables, text
from lwd_benchmarks.report.document import PLOTS, document, has_plots, make_report
from lwd_benchmarks.report.errors import ReportError
from lwd_benchmarks.report.page import fill
from lwd_benchmarks.report.pooling import Count, total
from lwd_benchmarks.report.ratio import (
    AT_MOST,
    EXACT,
    MORE_THAN,
    Curve,
    Reached,
    compare,
    compare_policy,
    isotonic_curve,
    needed,
)
from lwd_benchmarks.report.results import load
from lwd_benchmarks.report.values import values
from report_support import chain, full_study, latents, reconstruction, result, write

ROOT = Path(__file__).parent.parent
RESULTS, DOCUMENTS = ROOT / "benchmarks/results/metaworld", ROOT / "docs/benchmarks"
TEMPLATE = DOCUMENTS / "metaworld.template.md"


# ---- pooling


def test_wilson_interval_of_pooled_counts_by_hand():
    # (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z = 1.959964, p = 0.9, n = 100
    count = total([Count(45, 50), Count(45, 50)])
    assert count == Count(90, 100)
    assert count.interval == pytest.approx((0.825634, 0.944771), abs=1e-6)


def test_seeds_of_an_entry_are_pooled_and_the_worst_is_kept(tmp_path):
    write(tmp_path, result(seed=0, successes={"reach-v3": 40}), result(seed=1, successes={"reach-v3": 49}),
          result(seed=2, successes={"push-v3": 30}))  # fmt: skip
    (entry,) = load(tmp_path).entries
    assert entry.total == Count(490 + 499 + 480, 1500)
    assert (entry.worst_run.seed, entry.worst_run.total) == (2, Count(480, 500))
    assert entry.worst_task == ("push-v3", Count(130, 150)) and entry.tasks["reach-v3"] == Count(139, 150)
    assert entry.generation_ms == pytest.approx(0.51)
    row = tables.headline(load(tmp_path)).splitlines()[2]
    assert "| 3 | 1,500 | 0.979 | 0.971 to 0.985 | 0.960 | push-v3 130/150 |" in row


def test_a_multi_task_mlp_is_also_counted_without_its_task_inputs(tmp_path):
    kinds = {"mlp": ("multitask_mlp", 852), "lwd": ("lwd", 692)}
    made = [result(name, method=method, parameters=size, groups=["size"]) for name, (method, size) in kinds.items()]
    results = load(write(tmp_path / "a", *made))
    # 21 observations and 10 tasks to 16 units; fixed, the task leaves as many weights as a generated policy has
    assert [entry.folded_parameters for entry in results.of("size")] == [692, 692]
    row = tables.ratio(results).splitlines()[2]
    assert row.split(" | ")[3:] == ["≤ 852", text.NONE, "≤ 692", f"{text.NONE} |"]


def test_seeds_are_read_in_their_order(tmp_path):
    write(tmp_path, *[result(seed=seed) for seed in (10, 2, 0)])
    assert [run.seed for run in load(tmp_path).entries[0].runs] == [0, 2, 10]


def test_chains_are_pooled_per_link(tmp_path):
    for seed, last in ((0, 48), (1, 41)):
        content = chain(seed, (("drawer-open-v3", 50), ("drawer-close-v3", last)))
        (tmp_path / f"chain_drawer_seed{seed}.json").write_text(json.dumps(content))
    (found,) = load(tmp_path).chains
    assert found.seeds == (0, 1) and [link.count for link in found.links] == [Count(100, 100), Count(89, 100)]
    assert "| drawer-open → drawer-close | 1 | drawer-open-v3 | 2 | 100/100 |" in tables.chains(load(tmp_path))


# ---- parameters at equal success


def points(*pairs):
    return [(parameters, Count(successes, 100)) for parameters, successes in pairs]


def test_isotonic_fit_pools_what_falls_weighted_by_episodes():
    curve = isotonic_curve([*points((100, 50), (1000, 90)), (10000, Count(210, 300))])
    assert curve == Curve((100, 1000, 10000), (0.5, 0.75, 0.75))


def test_equal_sizes_are_one_point():
    assert isotonic_curve(points((100, 50), (100, 70), (200, 80))) == Curve((100, 200), (0.6, 0.8))


def test_needed_is_linear_in_the_logarithm():
    curve = isotonic_curve(points((100, 50), (10000, 90)))
    assert needed(curve, 0.7).parameters == pytest.approx(1000) and needed(curve, 0.7).bound == EXACT
    assert needed(curve, 0.5) == Reached(100, AT_MOST)
    assert needed(curve, 0.95) == Reached(10000, MORE_THAN)


def test_ratio_where_both_reach():
    lwd, mlp = isotonic_curve(points((100, 60), (1000, 80))), isotonic_curve(points((1000, 60), (100000, 100)))
    found = compare(lwd, mlp)
    assert found.success == 0.8 and found.relation == "="
    assert (found.small.parameters, found.large.parameters) == pytest.approx((1000, 10000))
    assert text.ratio(found) == "10"


def test_ratio_where_the_mlp_never_reaches():
    lwd, mlp = isotonic_curve(points((100, 60), (1000, 100))), isotonic_curve(points((500, 40), (50000, 80)))
    shared = compare(lwd, mlp)
    assert shared.success == 0.8 and shared.relation == "="
    assert shared.ratio == pytest.approx(50000 / 10**2.5)
    bound = compare(lwd, mlp, lwd.best)
    assert bound.large == Reached(50000, MORE_THAN) and bound.small.parameters == pytest.approx(1000)
    assert bound.relation == ">=" and text.ratio(bound) == "≥ 50"


def test_ratio_where_the_mlp_stays_below_the_smallest_lwd():
    lwd, mlp = isotonic_curve(points((100, 90), (1000, 95))), isotonic_curve(points((500, 40), (50000, 80)))
    found = compare(lwd, mlp)
    assert found.success == 0.8 and found.small == Reached(100, AT_MOST) and found.large.parameters == 50000
    assert text.ratio(found) == "≥ 500"


def test_ratio_where_the_smallest_mlp_reaches_already():
    lwd, mlp = isotonic_curve(points((100, 60), (1000, 80))), isotonic_curve(points((500, 85), (50000, 90)))
    found = compare(lwd, mlp)
    assert found.large == Reached(500, AT_MOST) and found.relation == "<=" and text.ratio(found) == "≤ 0.50"


def test_single_points_bound_nothing():
    found = compare(isotonic_curve(points((100, 80))), isotonic_curve(points((1000, 80))))
    assert found.relation == "?" and text.ratio(found) == text.NONE


def test_ratio_on_data_that_falls():
    lwd, mlp = isotonic_curve(points((100, 60), (1000, 90), (2000, 80))), isotonic_curve(points((100, 40), (10000, 85)))
    assert lwd.success == (0.6, 0.85, 0.85)
    found = compare(lwd, mlp)
    assert found.success == 0.85 and found.ratio == pytest.approx(10) and found.relation == "="


def test_ratio_of_one_policy():
    mlp = isotonic_curve(points((1000, 60), (100000, 80)))
    assert compare_policy(692, 0.7, mlp).ratio == pytest.approx(10000 / 692)
    assert text.ratio(compare_policy(692, 0.9, mlp)) == "≥ 140"


@pytest.mark.parametrize(
    "value, relation, expected",
    [(11.19, ">=", "11"), (11.91, ">=", "11"), (11.91, "=", "12"), (11.01, "<=", "12"), (1234, ">=", "1,200"),
     (5.0, ">=", "5.0"), (3.69, ">=", "3.6"), (0.51, "=", "0.51")],
)  # fmt: skip
def test_bounds_are_rounded_so_that_they_stay_bounds(value, relation, expected):
    assert text.two_digits(value, relation) == expected


def test_a_rate_below_one_is_never_written_as_one():
    assert text.rate(1.0) == "1.000" and text.rate(7499 / 7500) == "0.9999" and text.rate(0.9794) == "0.979"


# ---- tables


def test_mt50_begins_with_the_weakest_task(tmp_path):
    write(tmp_path, result("mt50_lwd", set="mt50", successes={"door-close-v3": 3, "soccer-v3": 20}),
          result("mt50_mlp", set="mt50", method="multitask_mlp", parameters=9028, successes=1))  # fmt: skip
    rows = tables.tasks(load(tmp_path), "mt50", "visible").splitlines()[2:]
    assert rows[0] == "| door-close-v3 | 3/50 | 1/50 |" and rows[1] == "| soccer-v3 | 20/50 | 1/50 |"
    assert len(rows) == 52 and rows[-2] == "| all tasks | 2,423/2,500 | 50/2,500 |"


def test_the_expert_stands_beside_both_goals_without_a_seed(tmp_path):
    write(tmp_path, result("mt10_hidden", goal="hidden"), result("mt10_expert", method="expert"))
    for goal, columns in (("visible", 1), ("hidden", 2)):
        lines = tables.tasks(load(tmp_path), "mt10", goal).splitlines()
        assert lines[0].endswith("scripted expert |") and lines[0].count("|") == columns + 2
        assert lines[-1].endswith(f"| {text.NONE} |")


def test_sentences_say_which_method_reaches_more(tmp_path):
    def size(method, parameters, successes):
        return result(f"{method}_{parameters}", method=method, parameters=parameters, successes=successes,
                      groups=["size"])  # fmt: skip

    write(tmp_path / "a", size("lwd", 100, 40), size("lwd", 500, 49), size("multitask_mlp", 9000, 45))
    found = tables.ratio_sentences(load(tmp_path / "a"))
    assert "no multi-task MLP up to 9,000 parameters reaches LWD's 0.980, for which LWD needs 500" in found
    assert "a ratio of at least 18." in found
    write(tmp_path / "b", size("lwd", 100, 40), size("lwd", 500, 45), size("multitask_mlp", 9000, 49))
    assert "no LWD policy up to 500 parameters reaches the multi-task MLP's 0.980" in tables.ratio_sentences(
        load(tmp_path / "b")
    )


def test_studies_pool_counts_and_average_the_rest(tmp_path):
    for seed, decoded in ((0, 20), (1, 16)):
        content = reconstruction(seed=seed, decoded=decoded)
        content["mean"]["same_layout_mm"] = 10.0 + 4 * seed
        (tmp_path / f"reconstruction_a_seed{seed}.json").write_text(json.dumps(content))
        content = latents(seed=seed)
        content["tasks"]["push-v3"]["nearest_encoded_is_of_the_task"] = 0.5 + 0.2 * seed
        content["diversity"]["push-v3"]["many_layouts"]["successes"] = 8 - seed
        (tmp_path / f"latents_a_seed{seed}.json").write_text(json.dumps(content))
    results = load(tmp_path)
    assert "| mt10 visible | 2 | 400/400 | 360/400 |" in (table := pictures.reconstruction_table(results))
    assert "| 12.0 / 60.0 |" in table
    assert "| 2 | 800 | 0.920 | push-v3 0.600 | 0.40 |" in pictures.latents_table(results)
    assert "| push-v3 | 2 | 16/16 | 0.200 | 0.040 | 15/16 | 0.200 | 0.040 |" in pictures.diversity_table(results)


# ---- the document


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return full_study(tmp_path_factory.mktemp("study"))


def test_the_document_is_filled_and_byte_identical_twice(study, tmp_path):
    folders = [tmp_path / name for name in "ab"]
    contents = []
    for folder in folders:
        make_report(study, folder, TEMPLATE)
        contents.append({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")})
    assert contents[0] == contents[1]
    document = contents[0].pop("metaworld.md").decode()
    assert "{{" not in document and "}}" not in document
    assert {f"images/{name.rpartition('/')[2]}" for name in contents[0]} == {
        part.split(")")[0] for part in document.split("](")[1:] if part.startswith("images/")
    }
    assert len(contents[0]) == len(PLOTS)
    for name, content in contents[0].items():
        assert content[:4] == b"\x89PNG" and len(content) < 150_000, name
        assert b"tEXt" not in content and b"tIME" not in content


def test_the_document_renders_without_any_result(tmp_path):
    path = make_report(tmp_path / "nothing", tmp_path / "out", TEMPLATE)
    assert "{{" not in path.read_text() and "No results yet" in path.read_text()
    assert not list((tmp_path / "out").rglob("*.png"))


def test_every_single_file_renders(study, tmp_path):
    for name in ("mt10_lwd_692_seed1", "mt50_mlp_364_8000_seed0", "mt10_task_mlp_d0_seed2", "mt10_visible_expert_seed0",
                 "chain_drawer_seed1", "latents_mt50_visible_seed1", "reconstruction_mt10_hidden_seed0"):  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.json").write_bytes((study / f"{name}.json").read_bytes())
        assert "{{" not in make_report(folder, folder / "out", TEMPLATE).read_text()


def test_a_picture_of_results_that_are_gone_is_removed(tmp_path):
    make_report(write(tmp_path / "results", result(groups=["size"])), tmp_path, TEMPLATE)
    assert (tmp_path / "images/metaworld_size.png").exists()
    make_report(tmp_path / "nothing", tmp_path, TEMPLATE)
    assert not (tmp_path / "images/metaworld_size.png").exists()


def test_values_are_known_by_place_and_by_entry(study):
    found = values(load(study))
    assert found["mt10_visible.parameters"] == "692" and found["mt10_visible.episodes"] == "1,500"
    assert found["mt10_visible.multitask_mlp.parameters"] == found["mt10_visible_multitask_mlp.parameters"] == "852"
    assert found["protocol.first_reporting"] == "200,000" and found["protocol.episodes"] == "50"
    assert values(load(study / "nothing"))["mt50_hidden.mean"] == text.NONE


def test_an_entry_that_bears_the_name_of_its_set_and_goal_means_itself(tmp_path):
    small = result(entry="mt10_tiny", parameters=328, hidden_layers=[9, 9], seed=0)
    shipped = [result(entry="mt10_visible", parameters=692, hidden_layers=[16, 16], seed=seed) for seed in range(2)]
    found = values(load(write(tmp_path, small, *shipped)))
    assert (found["mt10_visible.parameters"], found["mt10_visible.seeds"]) == ("692", "2")
    assert (found["mt10_tiny.parameters"], found["mt10_visible.lwd.parameters"]) == ("328", "328")


def test_chains_on_validation_layouts_are_not_reported(tmp_path):
    content = chain() | {"protocol": {"first_layout": 100_000}}
    (tmp_path / "chain_drawer_seed0.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match="found first layout 100000, expected reporting layouts"):
        load(tmp_path)


def test_an_unknown_marker_is_one_sentence(tmp_path):
    template = tmp_path / "metaworld.template.md"
    template.write_text("{{ table:headline }} {{ value:mt10_visible.maen }}")
    template.with_name("metaworld_failures.md").write_text("none")
    with pytest.raises(
        ReportError, match=r"template\.md: found marker 'value:mt10_visible\.maen', expected one of"
    ) as e:
        make_report(tmp_path, tmp_path / "out", template)
    assert "\n" not in str(e.value) and not (tmp_path / "out").exists()


def test_notes_are_filled_and_their_markers_checked(tmp_path):
    template, notes = tmp_path / "metaworld.template.md", tmp_path / "metaworld_failures.md"
    template.write_text("before {{notes}} after\n")
    notes.write_text("{{ value:protocol.steps }} steps\n")
    results = load(tmp_path)
    assert "before 500 steps after\n" in document(results, template, has_plots(results))
    notes.write_text("{{ tabel:headline }}")
    with pytest.raises(ReportError, match=r"failures\.md: found marker 'tabel:headline', expected one of .*table"):
        document(results, template, has_plots(results))
    notes.unlink()
    with pytest.raises(ReportError, match=r"failures\.md: cannot be read"):
        document(results, template, has_plots(results))


def test_fill_does_not_read_markers_in_what_it_filled_in():
    assert fill("{{ a }}", {"a": "{{ b }}"}, "x") == "{{ b }}"


# ---- what is refused


def broken(tmp_path, content, name="mt10_lwd_seed0"):
    path = tmp_path / f"{name}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ReportError) as error:
        load(tmp_path)
    assert path.name in str(error.value) and "expected" in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def test_broken_json_is_refused(tmp_path):
    assert "is not JSON" in broken(tmp_path, '{"study": ')
    assert "found a list" in broken(tmp_path, "[1]")


def test_a_missing_study_block_is_refused(tmp_path):
    content = result()
    del content["study"]
    assert "found no key 'study'" in broken(tmp_path, content)
    content = chain()
    del content["study"]
    (tmp_path / "mt10_lwd_seed0.json").unlink()
    assert "found no key 'study'" in broken(tmp_path, content, "chain_drawer_seed0")


@pytest.mark.parametrize("name", ["mt10_lwd_seed1", "mt50_lwd_seed0", "mt10_lwd"])
def test_a_name_that_contradicts_the_block_is_refused(tmp_path, name):
    assert "as its name says" in (error := broken(tmp_path, result(), name)) or "'mt10_lwd_seed0.json'" in error


@pytest.mark.parametrize(
    "changes, found",
    [
        ({"method": "magic"}, "key 'study.method': found 'magic', expected one of lwd,"),
        ({"set": "mt51"}, "found 'mt51', expected one of mt10, mt50"),
        ({"groups": ["main", "best"]}, "key 'study.groups': found ['main', 'best']"),
        ({"layouts": "validation"}, "group 'main': found validation layouts, expected reporting ones"),
        ({"steps": None}, "key 'study.steps': found None, expected a whole number"),
        ({"seed": True}, "key 'study.seed': found True"),
    ],
)
def test_a_block_that_says_nonsense_is_refused(tmp_path, changes, found):
    content = result()
    content["study"] |= changes
    assert found in broken(tmp_path, content)


def test_results_on_layouts_other_than_they_say_are_refused(tmp_path):
    content = result()
    content["protocol"]["first_layout"] = 100_000
    assert "found first layout 100000, expected reporting layouts, 200,000 to" in broken(tmp_path, content)


def test_missing_tasks_and_impossible_counts_are_refused(tmp_path):
    content = result()
    content["tasks"]["reach-v3"]["successes"] = 51
    assert "task 'reach-v3': found 51 successes, expected at most 50" in broken(tmp_path, content)
    del content["tasks"]["reach-v3"]
    assert "found 9 tasks, expected those of mt10; 'reach-v3' differs" in broken(tmp_path, content)


@pytest.mark.parametrize("made, missing", [(reconstruction, "mean"), (latents, "tasks")])
def test_a_study_that_lacks_something_is_refused(tmp_path, made, missing):
    content = made()
    name = f"{made.__name__}_mt10_visible_seed0"
    assert "key 'study': found 'other'" in broken(tmp_path, content | {"study": "other"}, name)
    assert f"found no key '{missing}'" in broken(tmp_path, {k: v for k, v in content.items() if k != missing}, name)
    assert "found a value of another kind" in broken(tmp_path, content | {missing: [1]}, name)


def test_seeds_that_do_not_fit_together_are_refused(tmp_path):
    write(tmp_path, result(seed=0))
    assert "found parameters 328, expected 692 as in the entry's other seeds" in broken(
        tmp_path, result(seed=1, parameters=328), "mt10_lwd_seed1"
    )
    copied = result(seed=1) | {"model_digest": result(seed=0)["model_digest"]}
    assert "found the model of seed 0, expected one trained with seed 1" in broken(tmp_path, copied, "mt10_lwd_seed1")


# ---- what is committed


def test_the_committed_document_is_what_the_committed_results_give():
    results = load(RESULTS)
    assert results.entries
    made = document(results, TEMPLATE, has_plots(results))
    assert (DOCUMENTS / "metaworld.md").read_text(encoding="utf-8") == made, "run 'lwd report' and commit what it makes"
    for part in made.split("](images/")[1:]:
        assert (DOCUMENTS / "images" / part.split(")")[0]).is_file()
