"""Pages made from the code when the site is built: parameters of the nodes, messages and services, the API.

They are written into `reference/generated`, which git ignores.
"""

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODES, INTERFACES = ROOT / "lwd_ros/nodes", ROOT / "lwd_msgs"
API = ("contract", "policy", "control", "transforms", "generator", "dataset", "environments", "learning", "evaluation")
_HIDDEN = ("__init__", "__main__")


def parameters() -> str:
    """Every `self.declare(name, default, description, least, largest)` of each node's class and of its base classes."""
    classes: dict[str, tuple[list[str], list[list]]] = {}
    nodes: dict[str, str] = {}
    for path in sorted(NODES.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = [each for each in tree.body if isinstance(each, ast.ClassDef)]
        for each in found:
            classes[each.name] = ([base.id for base in each.bases if isinstance(base, ast.Name)], _declared(each))
        if found and any(isinstance(each, ast.FunctionDef) and each.name == "main" for each in tree.body):
            nodes[path.stem] = found[-1].name
    lines = ["# Parameters of the nodes", "", "Every parameter as its node declares it. All are read at start-up."]
    lines.append("[The nodes](../nodes.md) explains them, and `ros2 param describe` prints them of a running node.")
    for name, of_class in nodes.items():
        entries = _inherited(of_class, classes)
        if not entries:
            continue
        lines += ["", f"## {name}", "", "| parameter | default | range | meaning |", "| --- | --- | --- | --- |"]
        lines += [_row(*entry) for entry in entries]
    return "\n".join(lines) + "\n"


def _declared(node: ast.ClassDef) -> list[list]:
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call) and ast.unparse(each.func) == "self.declare"]
    return [[_value(argument) for argument in call.args] for call in calls]


def _value(argument: ast.expr):
    try:
        return ast.literal_eval(argument)
    except ValueError:
        return ast.unparse(argument)  # a number that is computed, such as 2**62


def _inherited(name: str, classes: dict) -> list[list]:
    bases, own = classes.get(name, ([], []))
    inherited = [entry for base in bases for entry in _inherited(base, classes)]
    names = {entry[0] for entry in own}
    return [*own, *(entry for entry in inherited if entry[0] not in names)]


def _row(name, default, description="", least=None, largest=None) -> str:
    shown = json.dumps(default)
    limits = "" if least is None else f"from {least}" if largest is None else f"{least} to {largest}"
    return f"| `{name}` | `{shown}` | {limits} | {description} |"


def interfaces() -> str:
    """Messages and services with their comments, as they are built."""
    lines = ["# Messages and services", "", "The definitions of `lwd_msgs`, comments included."]
    for path in sorted(path for kind in ("msg", "srv", "action") for path in INTERFACES.glob(f"{kind}/*.{kind}")):
        kind = f"lwd_msgs/{path.parent.name}/{path.stem}"
        lines += ["", f"## {kind}", "", "```text", path.read_text(encoding="utf-8").rstrip(), "```"]
    return "\n".join(lines) + "\n"


def api() -> dict[str, str]:
    """One page for each package of `lwd_ros` that has no ROS in it, and a list of them."""
    pages = {}
    for package in (each for each in API if (ROOT / "lwd_ros" / each).is_dir()):
        lines = [f"# lwd_ros.{package}", "", _fenced(f"lwd_ros.{package}", "   :no-members:")]
        for path in sorted((ROOT / "lwd_ros" / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if path.stem in _HIDDEN or path.stem.startswith("_"):
                continue
            lines += ["", f"## {module}", "", _fenced(module)]
        pages[f"api_{package}.md"] = "\n".join(lines) + "\n"
    listed = "\n".join(name.removesuffix(".md") for name in pages)
    text = "The packages without ROS. `lwd_ros.contract` and `lwd_ros.policy` need NumPy and PyYAML alone."
    pages["api.md"] = f"# Python API\n\n{text}\n\n```{{toctree}}\n{listed}\n```\n"
    return pages


def _fenced(module: str, *options: str) -> str:
    return "\n".join(["```{eval-rst}", f".. automodule:: {module}", *options, "```"])


_CODE = re.compile(r"(`[^`]+`)", re.DOTALL)
_MARKUP = re.compile(r"([*|\\])|(?<=\w)(_)(?=\W|$)")


def plain_text(_app, _what, _name, _object, _options, lines: list[str]) -> None:
    """Docstrings are plain text with code in single backticks: escape what reStructuredText would take for markup."""
    parts = _CODE.split("\n".join(lines))
    for place, part in enumerate(parts):
        parts[place] = f"`{part}`" if place % 2 else _MARKUP.sub(r"\\\g<0>", part)
    lines[:] = "".join(parts).split("\n")


def generate(app) -> None:
    """Write the pages that changed."""
    folder = Path(app.srcdir) / "reference" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"parameters.md": parameters(), "interfaces.md": interfaces(), **api()}
    for stale in set(folder.glob("*.md")) - {folder / name for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app) -> dict:
    """Called by Sphinx."""
    app.connect("builder-inited", generate)
    app.connect("autodoc-process-docstring", plain_text, priority=100)  # before napoleon
    return {"parallel_read_safe": True}
