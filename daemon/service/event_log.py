"""Events of the daemon: into the journal, the history and the log."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from daemon.history.recorder import HistoryRecorder
from daemon.journal.records import Event
from daemon.journal.writer import Journal
from daemon.system.log import log

ALARMING = frozenset(
    (
        "acknowledge_refused",
        "bus_contention",
        "configuration_refused",
        "counter_leap_refused",
        "frame_counters_near_end",
        "loop_swings",
        "meter_energy_mismatch",
        "policy_self_test_failed",
        "policy_stuck",
        "policy_swap_refused",
        "restart_storm",
        "mode_leap_forced",
        "rollback",
        "rollout_back",
        "rollout_held",
        "rollout_ready",
        "slave_not_following",
        "slave_silent",
    )
)
"""Events that somebody has to do something about."""


@dataclass(frozen=True, slots=True)
class EventLog:
    """Everything worth a record that is no tick. A site without a history has none of it there."""

    journal: Journal
    history: HistoryRecorder | None = None

    def record(self, name: str, **detail: Any) -> None:
        """Record one event, now."""
        now_s = time.time()
        self.journal.put(Event(unix_s=now_s, event=name, detail=detail))
        if self.history is not None:
            self.history.event(now_s, name, detail)
        tell = log.warning if name in ALARMING else log.info
        tell(name, limit_key=f"{name} {detail}", **detail)  # another reason is another event

    async def close(self) -> None:
        """Write what is left."""
        if self.history is not None:
            await asyncio.to_thread(self.history.stop)
        await self.journal.close()
