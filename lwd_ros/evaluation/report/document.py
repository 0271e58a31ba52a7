"""The benchmark document: a hand-written template whose markers are filled with tables, plots and numbers."""

import re
from collections.abc import Mapping
from pathlib import Path

from matplotlib import pyplot as plt

from lwd_ros.evaluation.report import pictures, plots, tables
from lwd_ros.evaluation.report.errors import ReportError
from lwd_ros.evaluation.report.names import GOALS, SETS
from lwd_ros.evaluation.report.results import Results, load
from lwd_ros.evaluation.report.values import values

_MARKER = re.compile(r"\{\{\s*(.*?)\s*\}\}")

PLOTS = {
    "size": (plots.draw_size, "Success against policy parameters"),
    "budget": (plots.draw_budget, "Success against optimiser steps"),
    "demonstrations": (plots.draw_demonstrations, "Success against demonstrations per task"),
    "reconstruction": (pictures.draw_reconstruction, "Hand paths of the expert and of decoded policies"),
    "latents": (pictures.draw_latents, "Latents of demonstrations and samples, principal components"),
    "diversity": (pictures.draw_diversity, "Hand paths of eight policies generated for one layout"),
}
"""Name of a plot: the function that draws it, or None without results, and the text that stands for the picture."""

MISSING_PLOT = "*No results yet.*"


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


def fill(template: str, contents: Mapping[str, str], where: str) -> str:
    """Replace every `{{ marker }}`.

    Raises:
        ReportError: a marker is not among `contents`; `where` names the template.
    """

    def content(match: re.Match) -> str:
        if match[1] not in contents:
            kind = match[1].partition(":")[0]
            near = [name for name in contents if name.startswith(f"{kind}:")] or sorted(
                {name.partition(":")[0] for name in contents}
            )
            shown = ", ".join(near[:12]) + (", …" if len(near) > 12 else "")
            raise ReportError(f"{where}: found marker '{match[1]}', expected one of {shown}")
        return contents[match[1]]

    return _MARKER.sub(content, template)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror}); expected a Markdown text") from error


def document(results: Results, template: Path, drawn: Mapping[str, bool]) -> str:
    """The document's text.

    Args:
        results: what it says.
        template: Markdown with markers; `{{ notes }}` stands for the file `metaworld_failures.md` beside it, which may
            have markers itself.
        drawn: whether there is a picture, by name of the plot.

    Raises:
        ReportError: a text cannot be read, or has a marker that nothing is known of.
    """
    contents = _contents(results)
    for name, (_, alternative) in PLOTS.items():
        contents[f"plot:{name}"] = f"![{alternative}]({_picture(name)})" if drawn[name] else MISSING_PLOT
    notes = template.with_name("metaworld_failures.md")
    contents["notes"] = fill(_read(notes), contents, str(notes)).strip()
    head = f"<!-- Made by 'lwd report' from {template.name} and result files; edit those. -->\n"
    return head + fill(_read(template), contents, str(template))


def _picture(name: str) -> str:
    """Path of a plot, relative to the document."""
    return f"images/metaworld_{name}.png"


def has_plots(results: Results) -> dict[str, bool]:
    """Whether there are results for each plot, without drawing it."""
    shown = {name: bool(results.of(name)) for name in ("size", "budget", "demonstrations")}
    return shown | pictures.has_pictures(results)


def make_report(folder: Path, out: Path, template: Path) -> Path:
    """Write `metaworld.md` and its pictures from the results in `folder`; the same results give the same bytes.

    Returns:
        The path of the document.

    Raises:
        ReportError: a result file, the template or a marker is wrong; nothing is written then.
    """
    results = load(folder)
    content = document(results, template, has_plots(results))
    target = out / "metaworld.md"
    (out / "images").mkdir(parents=True, exist_ok=True)
    for name, (draw, _) in PLOTS.items():
        path = out / _picture(name)
        with plt.rc_context({**plt.rcParamsDefault, **plots.STYLE, "backend": "agg"}):
            figure = draw(results)
            if figure is None:
                path.unlink(missing_ok=True)  # of results that are gone
                continue
            plots.save(figure, path)
    target.write_text(content, encoding="utf-8")
    return target
