"""What an import found and did, as text and as plain data."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from lwd_ros.contract import Contract
from lwd_ros.contract.contract import vector_name
from lwd_ros.dataset.demonstrations import Episode
from lwd_ros.dataset.importing.quality import Scalar, wrap_of

_LISTED = 40  # episodes that the text lists one by one; the JSON has them all


@dataclass(frozen=True)
class StreamReport:
    """One stream of one recording.

    `longest_gap_ms` is that within imported episodes. `ahead_ms` is by how much its header stamps are ahead of the
    pacing stream's, against the recorder's clock, None without headers. `age_ms` is the median age of what rows have of
    an observation, `delay_ms` the median time from a row's recording to that of the command that answers it.
    """

    recording: str
    part: str
    label: str
    messages: int
    rate_hz: float
    longest_gap_ms: float
    stamps: str
    ahead_ms: float | None
    age_ms: float | None
    delay_ms: float | None
    left_out: int
    why: str


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
            "contract": {
                "name": self.contract.name,
                "digest": self.contract.digest,
                "period_s": self.contract.period_s,
            },
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
            f"{each.name}: {100 * each.outside:.3g} % of what was observed is outside its limits "
            f"[{each.limits[0]:g}, {each.limits[1]:g}] {each.unit} ({each.minimum:.4g} to {each.maximum:.4g})"
            for each in self.scalars
            if each.outside and not each.doubt
        ]
        wraps = [sentence for each in self.scalars if (sentence := wrap_of(each))]
        return list(dict.fromkeys([*problems, *self.warnings, *left_out, *doubts, *wraps, *outside]))

    def text(self) -> Iterator[str]:
        """Lines for a terminal."""
        names = len({each.recording for each in self.streams}) > 1
        yield from _table(
            ("stream", "messages", "Hz", "longest gap ms", "stamps", "ahead ms", "age or delay ms", "left out"),
            [
                (f"{each.recording} {each.label}" if names else each.label, f"{each.messages:,}",
                 f"{each.rate_hz:.4g}", f"{each.longest_gap_ms:,.0f}", each.stamps, _ms(each.ahead_ms),
                 _ms(each.age_ms if each.part == "observation" else each.delay_ms), f"{each.left_out:,}")
                for each in self.streams[:_LISTED]
            ],
        )  # fmt: skip
        yield ""
        yield from _table(
            ("scalar", "unit", "smallest", "largest", "limits", "remarks"),
            [
                (each.name, each.unit, f"{each.minimum:.4g}", f"{each.maximum:.4g}",
                 f"[{each.limits[0]:g}, {each.limits[1]:g}]", _remarks(each))
                for each in _vectors_as_one(self.scalars)
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


def _vectors_as_one(members: list[Scalar]) -> Iterator[Scalar]:
    """Scalars, and in the place of a vector's elements one over all of them."""
    groups: dict[tuple[str, str], list[Scalar]] = {}
    for each in members:
        groups.setdefault((each.kind, vector_name(each.name) or each.name), []).append(each)
    for (_, name), parts in groups.items():
        yield replace(
            parts[0],
            name=name if len(parts) == 1 else f"{name}[{len(parts)}]",
            minimum=min(each.minimum for each in parts),
            maximum=max(each.maximum for each in parts),
            outside=sum(each.outside for each in parts) / len(parts),
            spikes=sum(each.spikes for each in parts),
            jumps=max(each.jumps for each in parts),
            wraps=sum(each.wraps for each in parts),
            still=all(each.still for each in parts),
            doubt=next((each.doubt for each in parts if each.doubt), ""),
        )


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _remarks(each: Scalar) -> str:
    remarks = []
    if each.outside:
        remarks.append(f"{100 * each.outside:.3g} % outside")
    if each.clipped:
        remarks.append(f"{100 * each.clipped:.3g} % clipped")
    if each.spikes:
        remarks.append(f"{each.spikes} spikes")
    if each.jumps:
        remarks.append(f"{100 * each.jumps:.3g} % beyond its slew")
    if each.still:
        remarks.append("never moves")
    if each.doubt:
        remarks.append(each.doubt.partition("?")[0].rpartition(": ")[2] + "?")
    return ", ".join(remarks)


def _table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
    for line in (heads, *lines):
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
