"""The page of the Metaworld benchmarks."""

from collections.abc import Mapping
from pathlib import Path

from lwd_benchmarks.report import pictures, plots, tables
from lwd_benchmarks.report.names import GOALS, SETS
from lwd_benchmarks.report.page import page_name, page_text, write_page
from lwd_benchmarks.report.results import Results, load
from lwd_benchmarks.report.values import values

PLOTS = {
    "size": (plots.draw_size, "Success against policy parameters"),
    "budget": (plots.draw_budget, "Success against optimiser steps"),
    "demonstrations": (plots.draw_demonstrations, "Success against demonstrations per task"),
    "reconstruction": (pictures.draw_reconstruction, "Hand paths of the expert and of decoded policies"),
    "latents": (pictures.draw_latents, "Latents of demonstrations and samples, principal components"),
    "diversity": (pictures.draw_diversity, "Hand paths of eight policies generated for one layout"),
}
"""Name of a plot: the function that draws it, or None without results, and the text that stands for the picture."""


def _contents(results: Results) -> dict[str, str]:
    """What each marker but the plots' stands for."""
    found = {
        "table:headline": tables.headline(results),
        "table:size": tables.size(results),
        "table:ratio": tables.ratio(results),
        "text:ratio": tables.ratio_sentences(results),
        "table:budget": tables.budget(results),
        "table:rate": tables.rate(results),
        "table:demonstrations": tables.demonstrations(results),
        "table:chains": tables.chains(results),
        "table:reconstruction": pictures.reconstruction_table(results),
        "table:latents": pictures.latents_table(results),
        "table:diversity": pictures.diversity_table(results),
    }
    for set_ in SETS:
        for goal in GOALS:
            found[f"table:methods_{set_}_{goal}"] = tables.methods(results, set_, goal)
            found[f"table:tasks_{set_}_{goal}"] = tables.tasks(results, set_, goal)
    return found | {f"value:{name}": value for name, value in values(results).items()}


def document(results: Results, template: Path, drawn: Mapping[str, bool]) -> str:
    """The document's text, of results and a template, as `page_text` has it; raises ReportError."""
    return page_text(template, _contents(results), PLOTS, drawn)


def has_plots(results: Results) -> dict[str, bool]:
    """Whether there are results for each plot, without drawing it."""
    shown = {name: bool(results.of(name)) for name in ("size", "budget", "demonstrations")}
    return shown | pictures.has_pictures(results)


def make_report(folder: Path, out: Path, template: Path) -> Path:
    """Write the page and its pictures from the results in `folder`; the same results give the same bytes.

    Returns:
        The path of the page.

    Raises:
        ReportError: a result file, the template or a marker is wrong; nothing is written then.
    """
    results = load(folder)
    return write_page(document(results, template, has_plots(results)), results, PLOTS, out, page_name(template))
