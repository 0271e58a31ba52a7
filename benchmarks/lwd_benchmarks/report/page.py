"""Pages from templates: what they may use to write numbers and tables, and what is said where a name is unknown."""

import math
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from lwd_benchmarks.report import ReportError
from lwd_benchmarks.statistics import AT_MOST, EXACT, MORE_THAN, Comparison, Pooled, Reached

TEMPLATES = Path(__file__).parents[1] / "templates"
NONE = "–"  # noqa: RUF001
"""What stands in a table where nothing can be said."""


def number(value: float | None) -> str:
    """A whole number with commas."""
    return NONE if value is None else f"{value:,.0f}"


def rate(value: float | Pooled) -> str:
    """A success rate; 1.000 and 0.000 mean every and no episode."""
    value = value.rate if isinstance(value, Pooled) else value
    text = f"{value:.3f}"
    return f"{value:.4f}" if text in ("1.000", "0.000") and value not in (0, 1) else text


def interval(value: Pooled | tuple[float, float]) -> str:
    """An interval of a rate."""
    low, high = value.interval if isinstance(value, Pooled) else value
    return f"{low:.3f} to {high:.3f}"


def fraction(count: Pooled) -> str:
    """Successes out of episodes."""
    return f"{count.successes:,}/{count.episodes:,}"


def words(count: Pooled) -> str:
    """The same within a sentence."""
    return f"{count.successes:,} of {count.episodes:,}"


def milliseconds(value: float | None) -> str:
    """A time, two digits."""
    return NONE if value is None else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def signed(value: float) -> str:
    """A difference."""
    return f"{value:+.3f}"


def two_digits(value: float, relation: str = "=") -> str:
    """Two significant digits; a lower bound is rounded down, an upper bound up, so that it stays one."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    turn = {">=": math.floor, "<=": math.ceil}.get(relation, round)
    rounded = turn(round(value / step, 9)) * step
    return f"{rounded:,.0f}" if step >= 1 else f"{rounded:.{1 if step > 0.05 else 2}f}"


def times(value: float) -> str:
    """How many times more; the digits that matter."""
    return f"{value:,.0f}" if value > 10 else two_digits(value)


def reached(value: Reached, sentence: bool = False) -> str:
    """The parameters that a success needs."""
    if sentence:
        return f"{'' if value.bound == EXACT else value.bound + ' '}{value.parameters:,.0f}"
    return f"{ {AT_MOST: '≤ ', MORE_THAN: '> '}.get(value.bound, '') }{value.parameters:,.0f}"


def ratio(comparison: Comparison, sentence: bool = False) -> str:
    """How many times more parameters the other method needs; a dash where no bound follows."""
    at_least, at_most = ("at least ", "at most ") if sentence else ("≥ ", "≤ ")
    sign = {"=": "", ">=": at_least, "<=": at_most}
    if comparison.relation not in sign:
        return NONE
    return sign[comparison.relation] + two_digits(comparison.ratio, comparison.relation)


def ratio_interval(value: tuple[float, float]) -> str:
    """An interval of ratios; one that resampling does not bound has no upper end."""
    low, high = value
    lower = two_digits(low, ">=") if low else "0"
    return f"{lower} or more" if math.isinf(high) else f"{lower} to {two_digits(high, '<=')}"


def goal(value: float | None, most: float, digits: int = 2) -> str:
    """A figure, bold where it is beyond its goal; None is infinite."""
    if value is None:
        return "**∞**"
    text = f"{value:.{digits}f}"
    return text if value <= most else f"**{text}**"


def late(value: float | None) -> str:
    """A latency in ms; None is more observations without a command than the percentile leaves over: infinitely late."""
    return "∞" if value is None else f"{value:.2f}"


def head(*names: str | list[str]) -> str:
    """The two lines that a Markdown table begins with, all columns but the first right-aligned."""
    flat = [name for some in names for name in ([some] if isinstance(some, str) else some)]
    return f"| {' | '.join(flat)} |\n| --- |{' ---: |' * (len(flat) - 1)}"


def environment(folder: Path) -> Environment:
    """Templates of a folder; a name that is not defined is an error."""
    made = Environment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    filters = (number, rate, interval, fraction, words, milliseconds, signed, two_digits, times, reached, ratio,
               ratio_interval, goal, late)  # fmt: skip
    made.filters |= {function.__name__: function for function in filters}
    made.globals |= {"head": head, "NONE": NONE, "inf": math.inf, "zip": zip, "max": max, "min": min}
    return made


def render(template: str, context: dict, folder: Path = TEMPLATES) -> str:
    """The text of a template; ReportError where it cannot be read or names something that results do not have."""
    try:
        text = environment(folder).get_template(f"{template}.j2").render(context)
    except TemplateError as error:
        where = f"{getattr(error, 'filename', None) or folder / template}"
        line = getattr(error, "lineno", None) or _line(error)
        raise ReportError(f"{where}{f', line {line}' if line else ''}: {error.message or error}") from error
    text = re.sub(r"\n{3,}", "\n\n", text)  # loops leave empty lines behind
    return f"<!-- Made by 'lwd report' from {template}.j2 and result files; edit those. -->\n{text.lstrip()}"


def _line(error: TemplateError) -> int | None:
    """Where in a template an error was raised."""
    trace, line = error.__traceback__, None
    while trace:
        if trace.tb_frame.f_code.co_filename.endswith(".j2"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
