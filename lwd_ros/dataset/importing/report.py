"""What an import found and did, as text and as plain data."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lwd_ros.contract import Contract
from lwd_ros.dataset.demonstrations import Episode
from lwd_ros.dataset.importing.quality import Scalar
from lwd_ros.dataset.importing.series import Series

_LISTED = 40  # episodes that the text lists one by one; the JSON has them all


@dataclass(frozen=True)
class StreamReport:
    """One stream of one recording."""

    recording: str
    part: str
    label: str
    messages: int
    rate_hz: float
    longest_gap_ms: float
    stamps: str
    left_out: int
    why: str

    @classmethod
    def of(cls, recording: str, series: Series, part: str) -> "StreamReport":
        """What is said of a series."""
        stamps = "none" if series.timeless else "header" if series.by_header else "arrival"
        gap, rate = round(series.longest_gap_ms, 1), round(series.rate_hz, 3)
        return cls(
            recording, part, series.label, len(series.stamps_ns), rate, gap, stamps, series.left_out, series.why
        )


@dataclass(frozen=True)
class EpisodeReport:
    """One episode, or a part of one between holes; `why` says why it is not in the dataset, `said` what was cut."""

    task: str
    source: str
    rows: int
    seconds: float
    success: bool | None
    why: str
    said: list[str]


@dataclass
class Report:
    """A whole import."""

    contract: Contract
    out: Path
    recordings: list[tuple[str, list[str]]] = field(default_factory=list)
    streams: list[StreamReport] = field(default_factory=list)
    scalars: list[Scalar] = field(default_factory=list)
    episodes: list[EpisodeReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    data: dict[str, list[Episode]] = field(default_factory=dict)
    meta: dict = field(default_factory=dict)

    def why_none(self) -> str:
        """Why nothing was imported, ": ..." ; "" where nothing is known."""
        reasons = [f"{each.source}: {each.why}" for each in self.episodes if each.why]
        more = f" and {len(reasons) - 3} others" if len(reasons) > 3 else ""
        return ": " + "; ".join(reasons[:3]) + more if reasons else ""

    def as_dict(self) -> dict:
        """As plain data."""
        return {
            "dataset": str(self.out),
            "digest": self.meta.get("digest"),
            "contract": {"name": self.contract.name, "digest": self.contract.digest, "period_s": self.contract.period_s},
            "counts": self.meta.get("counts"),
            "recordings": [{"name": name, "problems": problems} for name, problems in self.recordings],
            "streams": [asdict(each) for each in self.streams],
            "scalars": [each.as_dict() for each in self.scalars],
            "episodes": [asdict(each) for each in self.episodes],
            "warnings": self.all_warnings(),
        }

    def all_warnings(self) -> list[str]:
        """Every sentence that a person should read."""
        problems = [sentence if name in sentence else f"{name}: {sentence}"
                    for name, sentences in self.recordings for sentence in sentences]  # fmt: skip
        left_out = [
            f"{each.recording}: {each.label}: {each.left_out:,} of {each.left_out + each.messages:,} messages left "
            f"out: {each.why}"
            for each in self.streams
            if each.left_out
        ]
        doubts = [f"{each.name}: {each.doubt}" for each in self.scalars if each.doubt]
        outside = [
            f"{each.name}: {100 * each.outside:.2g} % of what was observed is outside its limits "
            f"[{each.limits[0]:g}, {each.limits[1]:g}] {each.unit} ({each.minimum:.4g} to {each.maximum:.4g})"
            for each in self.scalars
            if each.outside and not each.doubt
        ]
        return list(dict.fromkeys([*problems, *self.warnings, *left_out, *doubts, *outside]))

    def text(self) -> Iterator[str]:
        """Lines for a terminal."""
        names = len({each.recording for each in self.streams}) > 1
        yield from _table(
            ("stream", "messages", "Hz", "longest gap ms", "stamps", "left out"),
            [
                (f"{each.recording} {each.label}" if names else each.label, f"{each.messages:,}",
                 f"{each.rate_hz:.4g}", f"{each.longest_gap_ms:,.0f}", each.stamps, f"{each.left_out:,}")
                for each in self.streams[:_LISTED]
            ],
        )  # fmt: skip
        yield ""
        yield from _table(
            ("scalar", "unit", "smallest", "largest", "limits", "remarks"),
            [
                (each.name, each.unit, f"{each.minimum:.4g}", f"{each.maximum:.4g}",
                 f"[{each.limits[0]:g}, {each.limits[1]:g}]", _remarks(each))
                for each in self.scalars
            ],
        )  # fmt: skip
        yield ""
        yield from _table(
            ("task", "rows", "s", "source", "remarks"),
            [
                (each.task, str(each.rows), f"{each.seconds:.2f}", each.source,
                 "; ".join([*(["left out: " + each.why] if each.why else []), *each.said]))
                for each in self.episodes[:_LISTED]
            ],
        )  # fmt: skip
        if len(self.episodes) > _LISTED:
            yield f"and {len(self.episodes) - _LISTED} others; --report FILE.json has them all"
        yield ""
        counts = self.meta["counts"]
        yield ", ".join(f"{task}: {n['episodes']} episodes, {n['frames']:,} rows" for task, n in counts.items())


def _remarks(each: Scalar) -> str:
    remarks = []
    if each.outside:
        remarks.append(f"{100 * each.outside:.2g} % outside")
    if each.clipped:
        remarks.append(f"{100 * each.clipped:.2g} % clipped")
    if each.spikes:
        remarks.append(f"{each.spikes} spikes")
    if each.still:
        remarks.append("never moves")
    if each.doubt:
        remarks.append(each.doubt.rpartition(": ")[2].split("?")[0] + "?")
    return ", ".join(remarks)


def _table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
    for line in (heads, *lines):
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
