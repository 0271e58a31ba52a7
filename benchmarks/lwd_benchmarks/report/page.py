"""What the pages have in common: a hand-written template whose markers are filled, and its pictures."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lwd_benchmarks.report import plots
from lwd_benchmarks.report.errors import ReportError

_MARKER = re.compile(r"\{\{\s*(.*?)\s*\}\}")

MISSING_PLOT = "*No results yet.*"

Plots = Mapping[str, tuple[Callable[..., Figure | None], str]]
"""By name of a plot: the function that draws results, or gives None where they lack it; what stands for the picture."""


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


def read(path: Path) -> str:
    """A text; raises ReportError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror}); expected a Markdown text") from error


def page_text(template: Path, contents: Mapping[str, str], shown: Plots, drawn: Mapping[str, bool]) -> str:
    """The page's text.

    Args:
        template: Markdown with markers; `{{ notes }}` stands for the file PAGE_failures.md beside PAGE.template.md,
            which may have markers itself.
        contents: what each marker but the plots' stands for.
        shown: the plots.
        drawn: whether there is a picture, by name of the plot.

    Raises:
        ReportError: a text cannot be read, or has a marker that nothing is known of.
    """
    page = page_name(template)
    found = dict(contents)
    for name, (_, alternative) in shown.items():
        found[f"plot:{name}"] = f"![{alternative}]({_picture(page, name)})" if drawn[name] else MISSING_PLOT
    notes = template.with_name(f"{page}_failures.md")
    found["notes"] = fill(read(notes), found, str(notes)).strip()
    head = f"<!-- Made by 'lwd report' from {template.name} and result files; edit those. -->\n"
    return head + fill(read(template), found, str(template))


def page_name(template: Path) -> str:
    """`metaworld` of `metaworld.template.md`."""
    return template.name.partition(".")[0]


def _picture(page: str, plot: str) -> str:
    """Path of a plot, relative to the page."""
    return f"images/{page}_{plot}.png"


def write_page(text: str, results, shown: Plots, out: Path, page: str) -> Path:
    """Write PAGE.md and its pictures into a folder; the same results give the same bytes. Returns the page's path."""
    target = out / f"{page}.md"
    (out / "images").mkdir(parents=True, exist_ok=True)
    for name, (draw, _) in shown.items():
        path = out / _picture(page, name)
        with plt.rc_context({**plt.rcParamsDefault, **plots.STYLE, "backend": "agg"}):
            figure = draw(results)
            if figure is None:
                path.unlink(missing_ok=True)  # of results that are gone
                continue
            plots.save(figure, path)
    target.write_text(text, encoding="utf-8")
    return target
