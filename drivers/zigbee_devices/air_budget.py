"""How much of the channel's time the site may use, broadcasts and unicasts together.

The broadcast of setpoints goes first: `core.airtime` decides about it and knows nothing of unicasts. They get
what it leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass

AIR_SHARE = 0.25
"""Of the channel's time; an assumption, not measured on a site: CSMA/CA loses few frames below it, and a
house has neighbours."""
BURST_S = 0.5
"""Time on air that may be saved up: every device of a site told at once."""
RELAY_S = 0.0043
"""One frame of full length at 250 kbit/s (IEEE 802.15.4, 127 bytes and preamble)."""
HOP_S = 0.005
"""One short unicast over one hop: 2 ms on air, channel access and acknowledgement."""
HOPS = 2
"""Of a usual house."""
FRAMES_ASKED = 4
"""Request and answer, each with its acknowledgement."""
UNICAST_S = FRAMES_ASKED * HOPS * HOP_S
"""What one question to one device costs, answer and acknowledgements with it."""
ZIGBEE_POLL_S = 10.0
"""So often a device is asked what it does, beside what it is told."""
POLL_LEAVES = 0.5
"""Of the savings: questions that can wait leave so much to setpoints."""


def broadcast_s(routers: int) -> float:
    """What one broadcast costs: every router repeats it once."""
    return (routers + 1) * RELAY_S


@dataclass(slots=True)
class AirBudget:
    """A token bucket in seconds on air.

    Args:
        clock: monotonic s.
        broadcasts: how many the coordinator was handed so far.
        routers: how many repeat each of them.
    """

    clock: Callable[[], float]
    broadcasts: Callable[[], int]
    routers: int
    unicasts_total: int = 0
    _left_s: float = BURST_S
    _at_s: float | None = None
    _counted: int = 0

    def may_ask(self, *, waits: bool = False) -> bool:
        """Whether there is time on air for one question; one that `waits` leaves something to the others."""
        self._catch_up()
        return self._left_s >= (POLL_LEAVES * BURST_S if waits else 0.0)

    def spend(self) -> None:
        """One question goes out. Rest may overdraw: whoever asks next waits the longer."""
        self._catch_up()
        self.unicasts_total += 1
        self._left_s -= UNICAST_S

    def _catch_up(self) -> None:
        now_s, counted = self.clock(), self.broadcasts()
        elapsed_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        spent_s = broadcast_s(self.routers) * (counted - self._counted)
        self._left_s = min(BURST_S, self._left_s + AIR_SHARE * elapsed_s - spent_s)
        self._at_s, self._counted = now_s, counted
