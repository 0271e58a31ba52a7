"""Pins that docs/benchmarks/controller.md says what the benchmarks' results say."""

from pathlib import Path

from lwd_benchmarks.controller import report

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_made_of_the_results():
    page = (ROOT / "docs/benchmarks/controller.md").read_text(encoding="utf-8")
    assert page == report.document(), "run `lwd bench report`"
