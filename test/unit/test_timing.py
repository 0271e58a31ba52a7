"""Pins what is measured of observations without ROS: rates, and by which clock messages are stamped."""

import numpy as np
import pytest
from control_support import PERIOD, STREAMS, Feeder, control_contract, vector_of

from lwd_ros.control import ObservationAssembler, RateMeter, TickRate
from lwd_ros.control.statistics import Moments

NOON = 1_795_000_000_000_000_000  # ns of a day like today
SECOND = 1_000_000_000
PACE = "hand/pose"
ALL = ("hand/pose", "gripper/state", "object_1/pose", "object_2/pose", "goal")


def moments(interval: float, count: int) -> Moments:
    result = Moments()
    for _ in range(count):
        result.add(interval)
    return result


class Streams:
    """An assembler that is fed by streams of any rate, with the time as a clock that may be off."""

    def __init__(self, simulated_time=False, offset_s=0.0, clock=True, **changes):
        self.contract = control_contract(**changes)
        self.offset_ns, self.clock_ns = round(offset_s * SECOND), NOON
        clock_ns = (lambda: self.clock_ns) if clock else None
        self.assembler = ObservationAssembler(self.contract, simulated_time, clock_ns)
        self.feeder = Feeder(self.assembler)

    def run(self, seconds: float, period_s=0.0125, periods=None, stamp=None, offsets=None):
        """Messages with one period each, or as `periods` (by place) says; stamped by the clock, or with `stamp`."""
        begin = self.feeder.now
        periods = np.array([(periods or {}).get(place, period_s) for place in range(STREAMS)])
        due = np.full(STREAMS, begin) + periods
        while due.min() <= begin + seconds:
            place = int(due.argmin())
            self.feeder.now = float(due[place])
            due[place] += periods[place]
            self.clock_ns = NOON + round(self.feeder.now * SECOND)
            own_ns = self.clock_ns + self.offset_ns + (offsets or {}).get(place, 0)
            self.feeder.message_at(place, own_ns if stamp is None else stamp, vector_of(1))

    @property
    def timing(self):
        return self.assembler.timing

    def rate_problem(self, **more) -> str:
        return self.timing.rate_problem(self.feeder.now, **more)

    def rates(self) -> list[float]:
        return [rate for _, rate in self.timing.rates_hz(self.feeder.now)]

    def clock_sentences(self) -> list[str]:
        return [problem.sentence for problem in self.timing.clock_problems()]


# Rates


@pytest.mark.parametrize("sync", ["same_stamp", "latest"])
@pytest.mark.parametrize(("hz", "wrong"), [(40, True), (160, True), (70, True), (75, False), (85, False), (80, False)])
def test_a_rate_that_is_not_the_contracts_is_a_sentence(sync, hz, wrong):
    streams = Streams(sync=sync)
    streams.run(3.0, 1 / hz)
    assert streams.rates() == pytest.approx([hz] * STREAMS, rel=0.02)
    topics = PACE if sync == "latest" else ", ".join(ALL)
    rate = pytest.approx(hz, rel=0.02)
    sentence = streams.rate_problem()
    assert bool(sentence) == wrong
    if wrong:
        assert sentence.startswith(f"{topics}: ") and sentence.endswith(" Hz, the contract's period asks for 80 Hz")
        assert float(sentence.removeprefix(f"{topics}: ").split(" ")[0]) == rate


def test_the_sentence_is_the_one_of_the_docs():
    streams = Streams(sync="latest")
    streams.run(3.0, 1 / 40.1)
    assert streams.rate_problem() == "hand/pose: 40.1 Hz, the contract's period asks for 80 Hz"


def test_of_streams_that_must_agree_the_slow_one_is_named():
    streams = Streams(sync="same_stamp")
    for _ in range(240):
        streams.feeder.now += 0.0125
        stamp = round(streams.feeder.now / 0.0125)
        for place in range(STREAMS):
            if place != 1 or stamp % 2:
                streams.feeder.message(place, stamp)
    assert streams.rate_problem() == "gripper/state: 40.0 Hz, the contract's period asks for 80 Hz"
    assert streams.rates()[:2] == pytest.approx([80.0, 40.0], rel=0.01)


def test_beside_the_stream_that_sets_the_pace_the_others_may_be_as_fast_as_they_like():
    streams = Streams(sync="latest")
    streams.run(3.0, periods={1: 0.005, 2: 0.05})
    assert streams.rates()[:3] == pytest.approx([80.0, 200.0, 20.0], rel=0.02)
    assert streams.rate_problem() == ""


def test_with_deadlines_of_their_own_ticks_need_no_fewer_observations():
    streams = Streams(sync="latest")
    streams.run(3.0, 1 / 160)
    assert streams.rate_problem(answers_each=False) == "" != streams.rate_problem()
    streams.run(3.0, 1 / 40)
    assert streams.rate_problem(answers_each=False)


def test_nothing_is_said_of_the_first_second_of_a_simulation_and_of_a_pause():
    streams = Streams()
    streams.run(0.9, 1 / 40)
    assert streams.rates() == [None] * STREAMS and streams.rate_problem() == ""
    simulated = Streams(simulated_time=True)
    simulated.run(3.0, 1 / 40)
    assert simulated.rates() == pytest.approx([40] * STREAMS, rel=0.02) and simulated.rate_problem() == ""
    streams.run(3.0, 1 / 40)
    assert streams.rate_problem()
    streams.feeder.now += 5.0
    assert streams.rate_problem() == "" and streams.rates() == [None] * STREAMS
    streams.run(2.5)
    assert streams.rates() == pytest.approx([80] * STREAMS, rel=0.02) and streams.rate_problem() == ""


def test_a_slow_contract_is_measured_over_ten_periods():
    meter = RateMeter(1.0)
    for now in range(10):
        meter.add(float(now))
    assert meter.rate_hz(9.0) is None
    meter.add(10.0)
    assert meter.rate_hz(11.0) == 1.0
    assert meter.rate_hz(14.0) is None


def test_ticks_are_measured_while_a_policy_runs():
    rate = TickRate(0.0125)
    rate.add(moments(0.0125, 40))
    assert rate.hz is None
    rate.add(moments(0.025, 40))
    assert rate.hz == pytest.approx(80 / 1.5)
    rate.forget()
    assert rate.hz is None


# Clocks


@pytest.mark.parametrize(
    ("offset_s", "words"), [(-30.0, "30.0 s behind "), (30.0, "30.0 s ahead of "), (-0.7, "0.7 s")]
)
def test_clocks_that_are_apart_are_a_sentence_with_the_difference(offset_s, words):
    streams = Streams(offset_s=offset_s)
    streams.run(0.3)
    assert streams.clock_sentences() == []  # not of the first message
    streams.run(0.5)
    (sentence,) = streams.clock_sentences()
    assert sentence.startswith(f"{', '.join(ALL)}: stamps are {words}")
    assert sentence.endswith("(NTP, PTP), or write `stamp: arrival` for it in the contract")
    streams.offset_ns = 0
    streams.run(0.3)
    assert streams.clock_sentences() == []


def test_only_the_stream_that_is_off_is_named():
    streams = Streams(sync="latest")
    streams.run(1.0, offsets={1: 30 * SECOND, 4: -3600 * SECOND})
    assert [problem.topics for problem in streams.timing.clock_problems()] == [("gripper/state",), ("goal",)]
    assert [problem.ahead_s for problem in streams.timing.clock_problems()] == pytest.approx([30.0, -3600.0], abs=0.1)


@pytest.mark.parametrize("offset_s", [0.0, -0.45, 0.45])
def test_late_and_jittery_stamps_are_no_other_clock(offset_s):
    streams = Streams(offset_s=offset_s)
    streams.run(1.0)
    assert streams.clock_sentences() == []


def test_a_stream_that_may_be_older_may_be_stamped_earlier():
    for stale, count in ((0.1, 1), (2.0, 0)):
        streams = Streams(offset_s=-1.5, stale=[stale] * STREAMS)
        streams.run(1.0)
        assert len(streams.clock_sentences()) == count


def test_one_late_bunch_is_no_other_clock():
    """Messages that waited somewhere for 3 s and are read together."""
    streams = Streams(sync="latest")
    streams.run(1.0)
    streams.feeder.now += 3.0
    streams.clock_ns += 3 * SECOND
    for place in range(STREAMS):
        for stamp in range(10):
            streams.feeder.message_at(place, streams.clock_ns - 3 * SECOND + stamp * PERIOD, vector_of(1))
    assert streams.clock_sentences() == []
    streams.run(1.0)
    assert streams.clock_sentences() == []


def test_stamps_of_0_and_of_an_uptime_name_the_way_out():
    streams = Streams(sync="latest")
    streams.run(1.0, stamp=0)
    way_out = "write `stamp: arrival` for it in the contract"
    (sentence,) = streams.clock_sentences()
    assert sentence == f"{', '.join(ALL)}: stamps are 0, expected the time; where a driver does not stamp, {way_out}"
    streams.run(0.5, stamp=0)
    fault = streams.assembler.fault(streams.feeder.now)
    assert fault.startswith("hand/pose: stamp 0 for 1.5 s: a driver that does not stamp?") and fault.endswith(way_out)
    uptime = Streams(offset_s=-1e-9 * NOON + 77.0)
    uptime.run(1.0)
    (sentence,) = uptime.clock_sentences()
    assert "stamps (78.0 s) are of another clock than this computer's clock (1795000001.0 s)" in sentence
    assert sentence.endswith(f"of a simulation? set use_sim_time; a driver's uptime? {way_out}")


def test_in_simulated_time_the_clock_is_the_simulations():
    streams = Streams(simulated_time=True, offset_s=-1.5)
    streams.run(1.0)
    (sentence,) = streams.clock_sentences()
    assert sentence.endswith("stamps are 1.5 s behind /clock; do the stamps come from that clock?")
    begins = Streams(simulated_time=True)  # and before it has begun, nothing is known
    for _ in range(20):
        begins.clock_ns = 0
        begins.feeder.now += 0.1
        for place in range(STREAMS):
            begins.feeder.message_at(place, 0, vector_of(1))
    assert begins.clock_sentences() == []


def test_without_a_clock_nobody_asks():
    streams = Streams(offset_s=-30.0, clock=False)
    streams.run(1.0)
    assert streams.clock_sentences() == []
