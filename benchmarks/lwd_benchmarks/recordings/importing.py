"""How much faster than real time recordings become a dataset: `lwd bench import --json F`."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from lwd_benchmarks.controller.results import machine, write_result
from lwd_benchmarks.recordings.synthetic import CONTRACT, RATES_HZ, write_recording
from lwd_ros.contract import Contract


def measure(seconds: float, rounds: int) -> dict:
    """Import one recording `rounds` times: seconds of each, by the clock and of the processor.

    One thread does all of it, so on an idle core both are nearly the same; on a shared one the processor's count.
    """
    from lwd_ros.dataset.importing import Settings, import_bags

    contract = Contract.from_dict(CONTRACT)
    with TemporaryDirectory() as place:
        bag = Path(place) / "recording"
        messages = write_recording(bag, seconds)
        size = sum(file.stat().st_size for file in bag.iterdir())
        taken: list[float] = []
        used: list[float] = []
        for round_ in range(rounds):
            began, busy = time.perf_counter(), time.process_time()
            report = import_bags([bag], contract, Path(place) / f"data_{round_}", Settings(task="drive"))
            taken.append(time.perf_counter() - began)
            used.append(time.process_time() - busy)
        rows = report.meta["counts"]["drive"]["frames"]
    busy_s, wall_s = (sorted(each)[len(each) // 2] for each in (used, taken))
    return {
        "recorded_s": seconds, "streams": RATES_HZ, "messages": messages, "rows": rows,
        "megabytes": round(size / 1e6, 1), "import_s": [round(each, 3) for each in taken],
        "processor_s": [round(each, 3) for each in used], "statistic": "median of the rounds, processor time",
        "over_real_time": round(seconds / busy_s, 1), "over_real_time_by_the_clock": round(seconds / wall_s, 1),
        "us_per_message": round(1e6 * busy_s / messages, 2),
    }  # fmt: skip


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--seconds", default=600.0, show_default=True, help="length of the recording")
@click.option("--rounds", default=3, show_default=True, help="imports; the median counts")
def main(path: Path | None, seconds: float, rounds: int) -> None:
    """A recording of five streams at 50 to 100 Hz, a lidar among them, to a dataset."""
    figures = measure(seconds, rounds)
    click.echo(f"{figures['over_real_time']:g} times real time by processor time, one thread; "
               f"{figures['over_real_time_by_the_clock']:g} times by the clock of this machine: "
               f"{figures['messages']:,} messages of {seconds:g} s")  # fmt: skip
    if path is not None:
        write_result(path, {"benchmark": "import", **machine(), **figures})
