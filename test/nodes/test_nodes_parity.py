"""Pins that a recorded rollout, imported, is what the controller saw and sent: every row, every bit."""

import numpy as np
import pytest

pytest.importorskip("mcap", reason="mcap is not installed")
pytest.importorskip("rosbags", reason="rosbags is not installed")

from nodes_support import CONTRACT_FILE, running_cell
from recording_support import messages

from lwd_msgs.msg import RecorderStatus
from lwd_msgs.srv import StartEpisode, StopEpisode
from lwd_ros.contract import Contract
from lwd_ros.dataset import Demonstrations
from lwd_ros.dataset.importing import Names, Settings, import_bags

TASK, LEAST_ROWS = "drawer-open-v3", 100


def recorded_rollout(folder, mode: str):
    """A policy's rollout in a simulated cell, recorded from its middle on; the recording's folder, and its names."""
    with running_cell(folder, bridge={"mode": mode}, controller={"use_sim_time": True}) as cell:
        given = {"contract_file": CONTRACT_FILE, "folder": folder / "bag", "task": TASK, "use_sim_time": True}
        cell.start_node("recorder", given)
        cell.load(TASK, 700_001)
        assert cell.generate(TASK, 5).success
        states = []
        cell.subscribe(RecorderStatus, "recorder/status", states.append)
        cell.wait("a rollout and who records it", lambda: cell.task.step > 20 and states and not states[-1].missing)
        cell.load(TASK, 700_002)
        # A busy computer's simulation pauses, and the recorder refuses an episode meanwhile.
        cell.wait("its recording", lambda: cell.call(StartEpisode, "recorder/start").success)
        first = cell.task.step
        cell.wait("its steps", lambda: cell.task.step > first + LEAST_ROWS + 20)
        ended = cell.call(StopEpisode, "recorder/stop", StopEpisode.Request(success=True))
        assert ended.kept and "lost" not in ended.message, ended.message
        return folder / "bag", Names(cell.namespace)


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_an_imported_rollout_is_what_the_controller_saw_and_sent(tmp_path, mode):
    """Rows from the streams alone, and rows from the controller's own ticks, equal the ticks bit for bit."""
    (bag, names), contract = recorded_rollout(tmp_path, mode), Contract.load(CONTRACT_FILE)
    ticks = messages(bag)["tick"]
    seen, sent = np.array([each.observation for each in ticks]), np.array([each.command for each in ticks])
    assert len(ticks) >= LEAST_ROWS and np.ptp(seen, axis=0).max() > 0.02, "the comparison is weak for a still hand"
    rows = {}
    for actions in ("tick", "bound"):
        report = import_bags([bag], contract, tmp_path / actions, Settings(actions=actions, names=names))
        ((task, (episode,)),) = Demonstrations(tmp_path / actions, contract).episodes.items()
        assert task == TASK, report
        rows[actions] = episode
    np.testing.assert_array_equal(rows["tick"].observation, seen)
    np.testing.assert_array_equal(rows["tick"].action, sent)
    # An episode may begin between an observation and its answer, and end there.
    observed, acted = rows["bound"].observation, rows["bound"].action
    (place,) = np.flatnonzero((observed == seen[1]).all(axis=1))
    count = min(len(observed) - place, len(seen) - 1)
    assert place <= 2 and abs(len(observed) - len(seen)) <= 2 and count >= LEAST_ROWS - 2
    np.testing.assert_array_equal(observed[place : place + count], seen[1 : 1 + count])
    np.testing.assert_array_equal(acted[place : place + count], sent[1 : 1 + count])
