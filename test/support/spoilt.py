"""What hypothesis makes of the content of a file, so that something is wrong with it; for both folders of tests."""

import copy
import json
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from lwd_ros.errors import LwdError

RUNS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 1.5, 2**70, 10**400])
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["reach-v3", "/", "\0", "a/b", "x" * 300, "{", "{seed}", "{x}", "{0}"])
)
VALUES = st.recursive(
    LEAVES, lambda more: st.lists(more, max_size=3) | st.dictionaries(st.text(max_size=3), more, max_size=3)
)


def _places(content, path=()):
    """The paths of everything in parsed JSON."""
    yield path
    if isinstance(content, (dict, list)):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _places(value, (*path, key))


@st.composite
def spoilt(draw, content):
    """A copy of parsed JSON with one to three things replaced, taken away or added."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_places(content))))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                content = draw(VALUES)
            elif isinstance(content, dict):
                content[draw(st.text(max_size=3))] = draw(VALUES)
            continue
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            holder[path[-1]] = draw(VALUES)
        else:
            del holder[path[-1]]
    return content


def refused_in_one_sentence(call) -> None:
    """Whether `call` succeeds or raises LwdError is up to what was spoilt; nothing else may come out."""
    try:
        call()
    except LwdError as error:
        assert "\n" not in str(error) and str(error)


def written(path: Path, content) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")  # which is YAML too, but for numbers such as NaN
    return path
