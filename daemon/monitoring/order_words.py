"""What became of the owner's orders, in words: the page, the terminal and `sunkeep status` say the same."""

from daemon.monitoring import messages
from daemon.monitoring.figures import Figures
from daemon.monitoring.slave_power import is_silent
from daemon.words.translation import ENGLISH, Words

ALL = 0.95
"""Of its power: more than that is all of it, but for rounding."""


def boosted(figures: Figures, name: str, words: Words = ENGLISH) -> str:
    """What a boosted device gets now, or why it gets nothing."""
    snapshot, decision = figures.snapshot, figures.decision
    place = next((at for at, slave in enumerate(figures.site.slaves) if slave.name == name), None)
    if place is None:
        return words("there is no such device any more")
    if snapshot is None or decision is None or snapshot.slaves[place].order is None:
        return words("waits for the next decision")
    if figures.pause.is_on:
        return words("waits: the site is paused")
    if not messages.is_in_control(decision):
        return words("waits: every device rests for safety, or holds what it was told")
    slave, state, told_w = figures.site.slaves[place], snapshot.slaves[place], decision.setpoints_w[place]
    if is_silent(state, figures.radio.up) or not state.available:
        return words("waits: it does not answer")
    limited = next((one for one in decision.not_following if one.slave == place), None)
    if limited is not None:
        limit = messages.power(limited.limit_w, words)
        return words("takes no more than {power} now, and is tried again later", power=limit)
    told, whole = messages.power(told_w, words), messages.power(slave.max_w, words)
    if told_w >= ALL * slave.max_w:
        return words("gets {power}", power=told)
    return words("gets {power} of {whole}: the limits allow no more yet", power=told, whole=whole)
