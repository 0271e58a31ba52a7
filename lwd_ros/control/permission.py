"""Who says that the robot may move: deadman buttons, emergency stops, robot modes."""

from lwd_ros.contract import PermissionStream


class Permission:
    """The permission streams of a contract; all of them must say yes. All times are s of the steady clock.

    What was never received is no. A permission ages from its last arrival on; a latched one holds until its publisher
    goes. A contract without permission streams permits always.
    """

    def __init__(self, streams: tuple[PermissionStream, ...]):
        self._streams = streams
        self.reset()

    def reset(self) -> None:
        """Forget everything, so that no old permission moves the robot."""
        self._values: list[float | None] = [None] * len(self._streams)
        self._arrived = [0.0] * len(self._streams)
        self._gone = [False] * len(self._streams)

    def receive(self, place: int, value: float, now: float) -> None:
        """Take one message of permission stream number `place`."""
        self._values[place], self._arrived[place], self._gone[place] = value, now, False

    def gone(self, place: int) -> None:
        """The publishers of stream number `place` are gone; what a latched one said ends with them."""
        if self._streams[place].stale_after_s is None:
            self._values[place], self._gone[place] = None, True

    def silent(self, now: float) -> list[int]:
        """Places of the streams that say neither yes nor no: never received, gone or stale."""
        return [
            place
            for place, stream in enumerate(self._streams)
            if self._values[place] is None
            or (stream.stale_after_s is not None and now - self._arrived[place] > stream.stale_after_s)
        ]

    def denied(self, now: float) -> str:
        """One sentence on why the robot may not move at `now`, '' where it may."""
        for place, stream in enumerate(self._streams):
            value, silent_s = self._values[place], now - self._arrived[place]
            if value is None:
                reason = "its publisher is gone" if self._gone[place] else "nothing received"
            elif stream.stale_after_s is not None and silent_s > stream.stale_after_s:
                reason = f"silent for {silent_s:.2f} s"
            elif not stream.permits(value):
                reason = f"found {stream.field.path} = {value:g}, expected {stream.condition}"
            else:
                continue
            return f"no permission: {stream.topic}: {reason}"
        return ""
