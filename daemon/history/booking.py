"""Books one tick, lived or retold, in an account: the report and the history by one rule."""

from core.causes import Cause
from core.decision import Decision
from core.roles import Role
from daemon.history.account import Account
from daemon.history.tariff import Tariff
from daemon.journal.records import Tick
from daemon.monitoring.figures import Counts, Figures
from daemon.monitoring.slave_power import heard_power_w, reachable_w
from safety.faults import cause


class TickBooker:
    """Books the ticks of one run, in order.

    Args:
        figures: they have been told the tick before it is booked.
    """

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self._counts = _counted(figures)
        self._before: Tick | None = None

    def recorded_s(self, tick: Tick) -> float:
        """The step to this tick, 0 across a gap and for the first one."""
        step_s = 0.0 if self._before is None else tick.snapshot.at_s - self._before.snapshot.at_s
        return step_s if 0.0 < step_s <= self.figures.gap_s else 0.0

    def book(self, account: Account, tick: Tick, tariff: Tariff) -> None:
        """Add what the figures counted in this tick, at the prices of its moment."""
        figures, recorded_s = self.figures, self.recorded_s(tick)
        account.energy.add(figures.newest)
        tariff.book(account, figures.newest, figures.site.role)
        _book_time(account, figures, tick, recorded_s)
        counts = _counted(figures)
        if counts != self._counts:
            for name, now, then in zip(Counts.__slots__, counts, self._counts, strict=True):
                setattr(account.counts, name, getattr(account.counts, name) + now - then)
            self._counts = counts
        before = None if self._before is None else self._before.decision
        _book_causes(account, before, tick.decision, recorded_s)
        self._before = tick


def slave_energies_j(figures: Figures, tick: Tick, recorded_s: float) -> dict[str, float]:
    """By name: what each slave says that it took or fed in this tick. Who was not heard is absent."""
    heard = {}
    for slave, state in zip(figures.site.slaves, tick.snapshot.slaves, strict=False):
        power_w = heard_power_w(state)
        if power_w is not None:
            heard[slave.name] = power_w * recorded_s
    return heard


def _book_time(account: Account, figures: Figures, tick: Tick, recorded_s: float) -> None:
    site, estimate = figures.site, tick.decision.estimate
    if figures.newest.compared_s and figures.without_w is not None and site.role is Role.ABSORB:
        reachable = reachable_w(figures.without_w, estimate.capacity_w, site.metering)
        account.reachable_j += reachable * figures.newest.compared_s
    account.state_s[tick.decision.verdict.state] += recorded_s
    account.recorded_s += recorded_s
    account.unsynchronised_s += recorded_s if tick.snapshot.hour is None else 0.0
    account.ticks += 1
    account.missed_samples += not estimate.fresh
    account.frames_sent += len(tick.frames_hex) if tick.accepted else 0
    account.frames_refused += tick.accepted is False
    if Cause.RADIO_DOWN not in tick.snapshot.alarms:
        account.radio_up_s += recorded_s
        account.unanswered_s += tick.snapshot.link_loss_rate * recorded_s


def _counted(figures: Figures) -> tuple[int, ...]:
    return tuple(getattr(figures.counts, name) for name in Counts.__slots__)


def _book_causes(account: Account, before: Decision | None, now: Decision, recorded_s: float) -> None:
    """Causes that lead to the state they stand beside. One begins where the tick before had it not."""
    verdict = now.verdict
    then = before.verdict.causes if before is not None and before.verdict.state is verdict.state else ()
    for name in verdict.causes:
        if cause(name).state is verdict.state:
            spell = account.spell(verdict.state, name)
            spell.times += name not in then
            spell.lasted_s += recorded_s
