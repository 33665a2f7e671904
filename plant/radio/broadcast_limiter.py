"""What limits outgoing broadcasts: the table in which a stack remembers them."""

from collections import deque
from enum import Enum

EMBER_WINDOW_S = 20.0
EMBER_BATCH_S = 5.0
"""EmberZNet returns capacity in batches of about 5 s (zigpy/ziggurat#43)."""
EMBER_RESERVED = 6
"""Table entries that one burst cannot use (zigpy/ziggurat#43: burst = size - 6)."""
SPEC_WINDOW_S = 9.0
"""How long a broadcast occupies its entry (Zigbee specification, nwkNetworkBroadcastDeliveryTime)."""
DEFAULT_SIZE = 15
"""Table size of stock EmberZNet firmware."""


class LimiterModel(Enum):
    """`EMBER`: sliding window of 20 s in 5-s batches, bounded bursts. `SPEC`: `size` entries of 9 s each.

    `OFF`: no limit, for measuring what the software alone can do.
    """

    EMBER = "ember"
    SPEC = "spec"
    OFF = "off"


class BroadcastLimiter:
    """Says whether one more broadcast fits. A model of published statements, not of a measured stick."""

    def __init__(self, size: int = DEFAULT_SIZE, model: LimiterModel = LimiterModel.EMBER) -> None:
        self.size, self.model = size, model
        self.refused = 0
        self._times_s: deque[float] = deque()

    def allow(self, at_s: float) -> bool:
        """Take an entry if one is free; `at_s` is a monotonic instant."""
        if self.model is LimiterModel.OFF:
            return True
        window_s = EMBER_WINDOW_S if self.model is LimiterModel.EMBER else SPEC_WINDOW_S
        while self._times_s and self._age_s(self._times_s[0], at_s) >= window_s:
            self._times_s.popleft()
        free = len(self._times_s) < self.size and self._burst(at_s) < self._burst_max()
        if free:
            self._times_s.append(at_s)
        else:
            self.refused += 1
        return free

    def _age_s(self, time_s: float, at_s: float) -> float:
        if self.model is LimiterModel.EMBER:
            return (at_s // EMBER_BATCH_S - time_s // EMBER_BATCH_S) * EMBER_BATCH_S
        return at_s - time_s

    def _burst(self, at_s: float) -> int:
        return sum(self._age_s(time_s, at_s) < EMBER_BATCH_S for time_s in self._times_s)

    def _burst_max(self) -> int:
        return max(1, self.size - EMBER_RESERVED) if self.model is LimiterModel.EMBER else self.size
