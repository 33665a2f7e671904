"""A row of the fault table: what is injected, how it shows, and within which bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from tests.faults.injections import Injection

if TYPE_CHECKING:
    from tests.campaigns.pairs import Pair
    from tests.faults.observation import Observation

TCP, SERIAL, NIGHT, BARE, USUAL = "tcp", "serial", "night", "bare", "usual"
"""Rigs: meter and radio on loopback TCP; both on pseudo-terminals; TCP and no sun; TCP and an EM24, which
tells power in one block and voltage in another; TCP and a sun that leaves slaves room (elsewhere it is 2.2
times as strong)."""


@dataclass(frozen=True)
class Row:
    """One fault.

    Args:
        number: of the fault table.
        reaction: the state that it may lead to at worst, or the states: "none" (goes on), "hold",
            "fallback", "safe_stop", "exit".
        detected: whether what was seen since the onset shows the fault.
        within_s: from the onset until it shows.
        lasts_s: until the fault ends.
        rest_s: from the last good sample (or from the onset, with `from_onset`) until every slave is at 0 W;
            None where slaves go on.
        recovered_s: from the end of the fault until a controller acts again.
        usable_s: from the end of the fault until the radio is up again.
        ends_daemon: the daemon is to end by itself; it has a rig of its own.
        rig: where it is injected.
        kept: what else must be true at the end of the fault.
        acknowledged: an operator clears it after its end.
        more: added to the configuration.
        needs_policy: the policy is in charge at the onset.
        measures_inference: how long the policy takes is measured in real time.
        gap: why the row does not hold today; empty where it does.
        is_long: takes too long for the short form.
        shows: whether the site is in a state in which the fault does anything; it begins in such a moment.
    """

    number: str
    injection: Injection
    reaction: tuple[str, ...]
    detected: Callable[["Observation"], bool]
    within_s: float
    lasts_s: float = 8.0
    rest_s: float | None = None
    from_onset: bool = False
    recovered_s: float = inf
    usable_s: float = inf
    ends_daemon: bool = False
    rig: str = TCP
    kept: Callable[["Observation"], bool] = lambda _seen: True
    acknowledged: bool = False
    more: str = ""
    needs_policy: bool = False
    measures_inference: bool = False
    gap: str = ""
    is_long: bool = False
    shows: Callable[["Pair"], bool] = lambda _pair: True


@dataclass(frozen=True)
class FaultTrialResult:
    """One injection. Seconds are None for what never happened (or, at rest, was never asked for)."""

    row: Row
    shown_as: str
    detected_s: float | None
    reaction: str
    rest_s: float | None
    recovered_s: float | None
    kept: bool
    usable_s: float | None = None

    @property
    def misses(self) -> list[str]:
        """What did not hold."""
        row, found = self.row, list[str]()
        if self.detected_s is None:
            found.append("not detected")
        elif self.detected_s > row.within_s:
            found.append(f"detected after {self.detected_s:.1f} s")
        if self.reaction not in row.reaction:
            found.append(f"reaction {self.reaction}")
        if row.rest_s is not None and (self.rest_s is None or self.rest_s > row.rest_s):
            found.append("never at rest" if self.rest_s is None else f"at rest after {self.rest_s:.2f} s")
        if row.recovered_s < inf and (self.recovered_s is None or self.recovered_s > row.recovered_s):
            found.append(
                "not recovered" if self.recovered_s is None else f"back after {self.recovered_s:.1f} s"
            )
        if row.usable_s < inf and (self.usable_s is None or self.usable_s > row.usable_s):
            found.append("no radio" if self.usable_s is None else f"radio after {self.usable_s:.1f} s")
        if not self.kept:
            found.append("not kept")
        return found
