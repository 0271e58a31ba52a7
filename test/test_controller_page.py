"""Pins that docs/benchmarks/controller.md says what the benchmarks' results say."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_made_of_the_results():
    spec = importlib.util.spec_from_file_location("bench_report", ROOT / "bench/report.py")
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    assert (ROOT / "docs/benchmarks/controller.md").read_text(encoding="utf-8") == report.document(), (
        "run `python bench/report.py`"
    )
