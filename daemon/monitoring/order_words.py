"""What became of the owner's orders, in words: the page, the terminal and `sunkeep status` say the same."""

from daemon.monitoring import messages
from daemon.monitoring.figures import Figures
from daemon.monitoring.slave_power import is_silent

ALL = 0.95
"""Of its power: more than that is all of it, but for rounding."""


def boosted(figures: Figures, name: str) -> str:
    """What a boosted device gets now, or why it gets nothing."""
    snapshot, decision = figures.snapshot, figures.decision
    place = next((at for at, slave in enumerate(figures.site.slaves) if slave.name == name), None)
    if place is None:
        return "there is no such device any more"
    if snapshot is None or decision is None or snapshot.slaves[place].order is None:
        return "waits for the next decision"
    if figures.pause.is_on:
        return "waits: the site is paused"
    if not messages.is_in_control(decision):
        return "waits: every device rests for safety, or holds what it was told"
    slave, state, told_w = figures.site.slaves[place], snapshot.slaves[place], decision.setpoints_w[place]
    if is_silent(state, figures.radio.up) or not state.available:
        return "waits: it does not answer"
    limited = next((one for one in decision.not_following if one.slave == place), None)
    if limited is not None:
        return f"takes no more than {messages.power(limited.limit_w)} now, and is tried again later"
    if told_w >= ALL * slave.max_w:
        return f"gets {messages.power(told_w)}"
    return f"gets {messages.power(told_w)} of {messages.power(slave.max_w)}: the limits allow no more yet"
