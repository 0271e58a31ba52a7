"""The benchmark of the import makes a recording that becomes a dataset row by row."""

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("mcap")

from lwd_benchmarks.recordings.importing import measure
from lwd_benchmarks.recordings.synthetic import RATES_HZ


def test_every_message_is_written_and_every_row_imported():
    figures = measure(2.0, 1)
    assert figures["messages"] == 2 * sum(RATES_HZ.values())
    assert figures["rows"] in (99, 100)
    assert figures["over_real_time"] > 0
