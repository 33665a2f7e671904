"""The coordinator's end of ASH, the serial link layer between an EZSP host and its radio module.

Source: Silicon Labs UG101. Frame layouts, checksum, byte stuffing and whitening are those of `bellows.ash`.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import bellows.types as t
from bellows import ash

from plant.radio.coordinator.line import Line, clean

WINDOW = 5
"""DATA frames that may be outstanding (UG101 TX_K; a module uses up to 5)."""
ACK_INIT_S, ACK_MIN_S, ACK_MAX_S = 1.6, 0.4, 3.2
"""Wait for an acknowledgement, adapted to what is measured (UG101 T_RX_ACK)."""
ACK_TIMEOUTS = 5
"""Timeouts in a row after which the link has failed (UG101 ACK_TIMEOUTS)."""
LONGEST_FRAME_BYTES = 512
"""Longer input without a flag is noise; the longest stuffed frame has 2 * (1 + 256 + 2) bytes."""

FLAG = bytes([ash.Reserved.FLAG])
_RETRY_EXHAUSTED = t.NcpResetCode.ERROR_EXCEEDED_MAXIMUM_ACK_TIMEOUT_COUNT


@dataclass(slots=True)
class Outstanding:
    """A DATA frame that waits for its acknowledgement."""

    number: int
    payload: bytes
    sent_at_s: float
    tries: int = 1


class AshModule:
    """One serial link, seen from the module.

    Args:
        write: takes the bytes for the host.
        on_ezsp: gets the payload of every DATA frame, once and in order.
        on_reset: called for every RST frame; must call `restarted`.
        outbound, inbound: what the line does to each frame on its way (loss, noise).
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        on_ezsp: Callable[[bytes], None],
        on_reset: Callable[[], None],
        *,
        outbound: Line = clean,
        inbound: Line = clean,
    ) -> None:
        self._write, self._on_ezsp, self._on_reset = write, on_ezsp, on_reset
        self.outbound, self.inbound = outbound, inbound
        self.connected = False
        self.mute = False
        self.counts: Counter[str] = Counter()
        self._buffer = bytearray()
        self._discarding = False
        self._timer: asyncio.TimerHandle | None = None
        self._forget()

    def _forget(self) -> None:
        self._send_number = 0
        self._expected_number = 0
        self._outstanding: deque[Outstanding] = deque()
        self._queue: deque[bytes] = deque()
        self._ack_wait_s = ACK_INIT_S
        self._rejecting = False
        self._disarm()

    # outbound ------------------------------------------------------------------------------------
    def restarted(self, code: t.NcpResetCode) -> None:
        """Say that the module has reset; numbering starts anew on both sides."""
        self._forget()
        self.connected = True
        self._put(ash.RStackFrame(version=2, reset_code=code))

    def fail(self, code: t.NcpResetCode) -> None:
        """Say that the link has failed; only a reset brings it back."""
        self._forget()
        self.connected = False
        self._put(ash.ErrorFrame(version=2, reset_code=code))

    def send(self, payload: bytes) -> None:
        """Queue one EZSP frame for the host; dropped while the link is not connected."""
        if self.connected:
            self._queue.append(payload)
            self._pump()

    def close(self) -> None:
        """Stop all timers and forget what waits."""
        self.connected = False
        self._forget()

    def _put(self, frame: Any) -> None:
        if self.mute:
            return
        self.counts[f"out_{type(frame).__name__}"] += 1
        wire = self.outbound(bytes(ash.AshProtocol._stuff_bytes(frame.to_bytes())))
        if wire is None:
            self.counts["out_lost"] += 1
        else:
            self._write(wire + FLAG)

    def _put_data(self, number: int, payload: bytes, *, again: bool) -> None:
        ack = self._expected_number
        self._put(ash.DataFrame(frm_num=number, re_tx=again, ack_num=ack, ezsp_frame=payload))

    def _confirm(self) -> None:
        self._put(ash.AckFrame(res=0, ncp_ready=0, ack_num=self._expected_number))

    def _reject(self) -> None:
        if self.connected and not self._rejecting:
            self._rejecting = True
            self._put(ash.NakFrame(res=0, ncp_ready=0, ack_num=self._expected_number))

    def _pump(self) -> None:
        while self._queue and len(self._outstanding) < WINDOW:
            entry = Outstanding(self._send_number, self._queue.popleft(), monotonic())
            self._send_number = (self._send_number + 1) % 8
            self._outstanding.append(entry)
            self._put_data(entry.number, entry.payload, again=False)
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        self._disarm()
        if self._outstanding:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._ack_wait_s, self._timed_out)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _timed_out(self) -> None:
        self._timer = None
        self._adapt(2.0 * self._ack_wait_s)
        self._repeat()

    def _repeat(self) -> None:
        """Send everything outstanding again, in order."""
        for entry in tuple(self._outstanding):
            if entry.tries > ACK_TIMEOUTS:
                self.fail(_RETRY_EXHAUSTED)
                return
            entry.tries += 1
            entry.sent_at_s = monotonic()
            self.counts["repeated"] += 1
            self._put_data(entry.number, entry.payload, again=True)
        self._arm()

    def _adapt(self, wait_s: float) -> None:
        self._ack_wait_s = min(max(wait_s, ACK_MIN_S), ACK_MAX_S)

    # inbound -------------------------------------------------------------------------------------
    def feed(self, data: bytes) -> None:
        """Take bytes from the host, in any portions."""
        for byte in data:
            if byte == ash.Reserved.FLAG:
                self._end_of_frame()
            elif byte == ash.Reserved.CANCEL:
                self._buffer.clear()
                self._discarding = False
            elif byte == ash.Reserved.SUBSTITUTE:
                self._discarding = True
            elif byte not in (ash.Reserved.XON, ash.Reserved.XOFF):
                self._buffer.append(byte)
        if len(self._buffer) > LONGEST_FRAME_BYTES + 6:
            self._buffer.clear()
            self._discarding = True

    def _end_of_frame(self) -> None:
        wire = None if self._discarding or not self._buffer else self.inbound(bytes(self._buffer))
        self._buffer.clear()
        self._discarding = False
        if wire is None or self.mute:
            return
        try:
            frame = ash.parse_frame(bytes(ash.AshProtocol._unstuff_bytes(wire)))
        except (ash.ParsingError, ValueError, IndexError):
            self.counts["in_bad"] += 1
            self._reject()
            return
        self.counts[f"in_{type(frame).__name__}"] += 1
        self._take(frame)

    def _take(self, frame: Any) -> None:
        if isinstance(frame, ash.RstFrame):
            self._on_reset()
        elif self.connected and isinstance(frame, ash.DataFrame | ash.AckFrame | ash.NakFrame):
            self._acknowledged(frame.ack_num)
            if isinstance(frame, ash.NakFrame):
                self._repeat()
            elif isinstance(frame, ash.DataFrame):
                self._take_data(frame)

    def _acknowledged(self, next_number: int) -> None:
        """Everything before `next_number`, the frame the host expects next, has arrived."""
        progress = False
        while self._outstanding and (next_number - self._outstanding[0].number - 1) % 8 < WINDOW:
            entry = self._outstanding.popleft()
            progress = True
            if entry.tries == 1:
                self._adapt(0.875 * self._ack_wait_s + 0.5 * (monotonic() - entry.sent_at_s))
        if progress:
            self._disarm()
        self._pump()

    def _take_data(self, frame: Any) -> None:
        if frame.frm_num != self._expected_number:
            if frame.re_tx:  # a repeat of something already taken
                self._confirm()
            else:
                self._reject()
            return
        self._rejecting = False
        self._expected_number = (self._expected_number + 1) % 8
        before = self.counts["out_DataFrame"]
        self._on_ezsp(frame.ezsp_frame)
        if self.counts["out_DataFrame"] == before:  # no answer went out that carries the acknowledgement
            self._confirm()
