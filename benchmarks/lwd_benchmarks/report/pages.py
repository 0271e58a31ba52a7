"""`lwd report`: every page with its pictures, and the headlines, from one folder of results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lwd_benchmarks.report import (
    ReportError,
    asking,
    choices,
    comparison,
    comparison_plots,
    controller,
    gaits,
    handover,
    headlines,
    metaworld,
    own,
    peers,
    plots,
    ways,
)
from lwd_benchmarks.report import entries as study
from lwd_benchmarks.report.page import TEMPLATES, render

Results = TypeVar("Results")


@dataclass(frozen=True)
class Page(Generic[Results]):
    """One page: how its results are read, what its template may name, and its pictures by name.

    An `optional` one is left out where there are no results of it.
    """

    load: Callable[[Path], Results]
    context: Callable[[Results], dict]
    plots: Mapping[str, Callable[[Results], Figure | None]] = field(default_factory=dict)
    optional: bool = False


PAGES: dict[str, Page] = {
    "metaworld": Page(study.load, metaworld.context, metaworld.PLOTS),
    "diffusion_policy": Page(comparison.load, comparison.context, comparison_plots.PLOTS),
    "handover": Page(handover.load, handover.context),
    "own": Page(own.load, own.context),
    "choices": Page(choices.load, choices.context),
    "peers": Page(peers.load, peers.context, peers.PLOTS),
    "ways": Page(ways.load, ways.context, ways.PLOTS, optional=True),
    "asking": Page(asking.load, asking.context, optional=True),
    "gaits": Page(gaits.load, gaits.context, gaits.PLOTS, optional=True),
    "controller": Page(controller.load, controller.context),
}
README = "README.md"
_NO_RESULT = "found no result, expected JSON of 'lwd study' and 'lwd bench'"


@dataclass(frozen=True)
class Report:
    """All results of a folder, read once, and the headlines that follow."""

    results: dict[str, Any]
    figures: dict[str, float]

    @classmethod
    def load(cls, folder: Path) -> "Report":
        """Read a folder with one folder for each page; ResultError and ReportError as those say."""
        there = {name: any((folder / name).glob("*.json")) for name in PAGES}
        for name, page in PAGES.items():
            if not there[name] and not page.optional:
                raise ReportError(f"{folder / name}: {_NO_RESULT}")
        results = {name: page.load(folder / name) for name, page in PAGES.items() if there[name]}
        figures = headlines.joined(
            headlines.of_study(results["metaworld"]),
            comparison.figures(results["diffusion_policy"]),
            handover.figures(results["handover"]),
            peers.figures(results["peers"]),
            own.figures(results["own"]),
            ways.figures(results["ways"]) if "ways" in results else iter(()),
            asking.figures(results["asking"]) if "asking" in results else iter(()),
            gaits.figures(results["gaits"]) if "gaits" in results else iter(()),
            headlines.of_controller(results["controller"]),
        )
        return cls(results, figures)

    def text(self, page: str, templates: Path = TEMPLATES) -> str:
        """A page's text; ReportError where its template names something that results do not have."""
        return render(f"{page}.md", self._named(PAGES[page].context(self.results[page])), templates)

    def readme(self, templates: Path = TEMPLATES) -> str:
        """README's text, which may name the headlines alone."""
        return render(README, self._named({}), templates)

    def _named(self, context: dict) -> dict:
        """Headlines by name; what a page calls something of its own hides them."""
        return headlines.nested(self.figures) | context

    def draw(self, page: str, out: Path) -> None:
        """Write a page's pictures; the same results give the same bytes."""
        (out / "images").mkdir(parents=True, exist_ok=True)
        for name, draw in PAGES[page].plots.items():
            path = out / "images" / f"{page}_{name}.png"
            with plt.rc_context({**plt.rcParamsDefault, **plots.STYLE, "backend": "agg"}):
                figure = draw(self.results[page])
                if figure is None:
                    path.unlink(missing_ok=True)  # of results that are gone
                else:
                    plots.save(figure, path)


def write(
    results: Path, out: Path, pages: Sequence[str], readme: Path | None, templates: Path = TEMPLATES
) -> list[Path]:
    """Write pages, pictures, headlines and, where there is a template of it, README; the files' paths.

    No `pages`: all that there are results of. Nothing is written where anything cannot be made.

    Raises:
        ResultError, ReportError: as `Report` says.
    """
    for page in pages:
        if not any((results / page).glob("*.json")):
            raise ReportError(f"{results / page}: {_NO_RESULT}")
    report = Report.load(results)
    pages = pages or list(report.results)
    texts = {out / f"{page}.md": report.text(page, templates) for page in pages}
    if readme and (templates / f"{README}.j2").exists():
        texts[readme] = report.readme(templates)
    for page in pages:
        report.draw(page, out)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    headlines.write(report.figures, results / "headlines.json")
    return [*texts, results / "headlines.json"]
