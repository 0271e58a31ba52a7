"""Pins that committed pages, README and headlines are what results give, and what `lwd report` refuses."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from lwd_benchmarks import commands
from lwd_benchmarks.methods import METHODS, Method
from lwd_benchmarks.paths import in_checkout
from lwd_benchmarks.report.entries import load
from lwd_benchmarks.report.page import TEMPLATES
from lwd_benchmarks.report.pages import PAGES, README, Report
from report_support import result, write

from lwd_ros.errors import LwdError

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ROOT / "docs/benchmarks"
RESULTS = ROOT / "benchmarks/results"


@pytest.fixture(scope="module")
def report():
    return Report.load(RESULTS)


@pytest.mark.parametrize("page", [name for name in PAGES if any((RESULTS / name).glob("*.json"))])
def test_a_committed_page_is_what_the_committed_results_give(report, page):
    made = report.text(page)
    committed = (DOCUMENTS / f"{page}.md").read_text(encoding="utf-8")
    assert committed == made, "run 'lwd report' and commit what it makes"
    shown = {part.split(")")[0] for part in made.split("](images/")[1:]}
    assert shown == {f"{page}_{name}.png" for name in PAGES[page].plots}
    for name in shown:
        assert (DOCUMENTS / "images" / name).is_file()


def test_the_committed_headlines_are_what_the_committed_results_give(report):
    assert json.loads((RESULTS / "headlines.json").read_text()) == report.figures
    assert all(isinstance(value, int | float) for value in report.figures.values())
    # The figures that an audit named: of folded sizes, with intervals over layouts.
    assert report.figures["mt10.visible.lwd.interval_low"] == pytest.approx(0.992, abs=5e-4)


def test_readme_is_what_its_template_and_the_headlines_give(report):
    assert (ROOT / README).read_text(encoding="utf-8") == report.readme()


def test_readme_may_name_every_headline(report, tmp_path):
    template = tmp_path / f"{README}.j2"
    template.write_text("{{ mt10.visible.lwd.successes | number }} of {{ mt10.visible.lwd.episodes | number }}\n")
    assert report.readme(tmp_path).endswith("-->\n1,500 of 1,500\n")
    template.write_text("{{ mt10.visible.lwd.sucesses }}")
    with pytest.raises(LwdError, match="has no attribute 'sucesses'"):
        report.readme(tmp_path)


@pytest.mark.parametrize("name", [path.name for path in sorted(TEMPLATES.iterdir())])
def test_every_template_is_one_of_a_page(name):
    assert name.removesuffix(".md.j2").removesuffix("_failures") in {*PAGES, "README"}


def test_every_page_can_be_asked_for():
    (pages,) = [option for option in commands.report.params if option.name == "pages"]
    assert sorted(pages.type.choices) == sorted(PAGES)


def test_a_new_method_needs_one_entry(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "magic", Method(label="pure magic", judged_by_study=True, colour="#123456"))
    study = load(write(tmp_path, result("mt10_magic", method="magic", groups=["size"]), result(groups=["size"])))
    assert [entry.label for entry in study.of("size", "mt10", "visible")] == ["LWD", "pure magic"]
    (axes,) = PAGES["metaworld"].plots["size"](study).axes
    assert "pure magic (line: isotonic fit)" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert "#123456" in [line.get_color() for line in axes.get_lines()]


def test_the_command_writes_what_is_named_and_leaves_readme(tmp_path, monkeypatch):
    folder = tmp_path / "results"
    shutil.copytree(RESULTS, folder, ignore=shutil.ignore_patterns("headlines.json"))
    monkeypatch.chdir(tmp_path)
    given = ["--results", str(folder), "--out", "out", "--page", "handover", "--page", "controller"]
    done = CliRunner().invoke(commands.report, given)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in Path("out").iterdir()) == ["controller.md", "handover.md", "images"]
    assert Path("out/handover.md").read_bytes() == (DOCUMENTS / "handover.md").read_bytes()
    assert (folder / "headlines.json").read_bytes() == (RESULTS / "headlines.json").read_bytes()
    shutil.rmtree(folder / "handover")
    with pytest.raises(LwdError, match="handover: found no result, expected JSON of 'lwd study' and 'lwd bench'"):
        CliRunner().invoke(commands.report, given, catch_exceptions=False)


def test_a_page_that_may_wait_is_left_out_until_there_are_results_of_it(report, tmp_path):
    figures = {name: value for name, value in report.figures.items() if not name.startswith("ways.")}
    without = Report({name: found for name, found in report.results.items() if name != "ways"}, figures)
    assert "ways.md" not in without.readme()
    assert {"ways", "asking"} <= {name for name, page in PAGES.items() if page.optional}
    (tmp_path / "results").mkdir()
    given = ["--results", str(tmp_path / "results"), "--out", str(tmp_path / "out"), "--page", "ways"]
    with pytest.raises(LwdError, match="ways: found no result, expected JSON of 'lwd study' and 'lwd bench'"):
        CliRunner().invoke(commands.report, given, catch_exceptions=False)
    with pytest.raises(LwdError, match="metaworld: found no result"):
        Report.load(tmp_path / "results")
    assert not (tmp_path / "out").exists()


def test_what_is_not_in_a_checkout_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        LwdError, match=r"found no benchmarks/nothing in .*; run this in the repository, or name another"
    ):
        in_checkout("benchmarks/nothing")
    assert in_checkout("benchmarks/results") == RESULTS
    monkeypatch.chdir(ROOT / "docs")
    assert in_checkout("benchmarks/results") == RESULTS


def test_the_controllers_benchmarks_are_commands(tmp_path):
    told = CliRunner().invoke(commands.bench, ["--help"])
    assert told.exit_code == 0 and "Swaps in motion." in told.output
    unknown = CliRunner().invoke(commands.bench, ["jump"])
    assert unknown.exit_code == 2 and "No such command 'jump'" in unknown.output
    for name in commands.Benchmarks.NAMES:
        assert CliRunner().invoke(commands.bench, [name, "--help"]).exit_code == 0, name


def test_a_step_is_measured_and_written(tmp_path):
    path = tmp_path / "step.json"
    done = CliRunner().invoke(commands.bench, ["step", "--rounds", "1", "--json", str(path)])
    assert done.exit_code == 0, done.output
    assert json.loads(path.read_text())["benchmark"] == "step"


def test_a_benchmark_without_ros_is_one_sentence(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'rclpy'", name="rclpy")

    monkeypatch.setattr(commands, "import_module", missing)
    done = CliRunner().invoke(commands.bench, ["latency"])
    assert done.exit_code == 2 and "'lwd bench latency' needs ROS 2: found no module 'rclpy'" in done.output
