"""Which notices a status is worth, and when. Pure: documents and times in, notices out.

A condition must last before it is told, is told again once a day while it lasts, and its end is told once it
has been over for as long. Whatever happens, no more than so many notices are sent in a day.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from core.causes import Cause
from daemon.gateway.status_client import StatusReading

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that an owner wants to know. `name` stays the same while it lasts."""

    name: str
    text: str
    after_s: float
    over: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: a line to read at a glance, and what it means."""

    title: str
    body: str
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Ongoing:
    """A condition since it was first seen."""

    condition: Condition
    since_s: float
    seen_s: float
    told_s: float | None = None


@dataclass(frozen=True, slots=True)
class NoticeMemory:
    """What has been told."""

    ongoing: dict[str, Ongoing] = field(default_factory=dict)
    sent_s: tuple[float, ...] = ()


def conditions(reading: StatusReading, after_s: float) -> Iterator[Condition]:
    """What is worth a notice now.

    Args:
        after_s: how long trouble must last; single devices are given twice as long.
    """
    document = reading.document
    if document is None or not reading.is_live:
        yield Condition(
            "daemon",
            "The controller does not answer. Every device goes to rest by itself. Look at its computer, "
            f"then at its log. ({reading.problem or 'its newest figures are old'})",
            after_s,
            "The controller answers again.",
        )
        return
    site, acting = document["site"], document["acting"]
    if document["headline"]["tone"] == "bad":
        why = f" ({acting['why']})" if acting["why"] else ""
        yield Condition("trouble", f"{document['headline']['text']}{why}.", after_s, "All is well again.")
    for key, what in (("configuration_problem", "configuration"), ("policy_problem", "policy")):
        if site.get(key):
            yield Condition(
                key, f"The {what} is refused, and the one of before stays in force: {site[key]}", after_s
            )
    if site.get("recording_problem"):
        told = (
            f"Nothing can be recorded: {site['recording_problem']}. Control goes on. Make room on the disk."
        )
        yield Condition("recording_problem", told, after_s, "Everything is recorded again.")
    if Cause.ROLLBACK in acting["causes"]:
        yield Condition("rollback", "The learned policy was taken out of charge, because it was worse.", 0.0)
    yield from _devices(document, 2.0 * after_s)


def step(
    memory: NoticeMemory, now: list[Condition], at_s: float, per_day_max: int
) -> tuple[list[Notice], NoticeMemory]:
    """Notices that are due, and the memory of them.

    Args:
        at_s: any clock that never goes back.
    """
    sent = tuple(sent_s for sent_s in memory.sent_s if at_s - sent_s < DAY_S)
    notices: list[Notice] = []
    ongoing = _seen(memory.ongoing, now, at_s)
    for name, one in list(ongoing.items()):
        notice = _due(one, at_s)
        if notice is None:
            if one.seen_s < at_s and (one.told_s is None or at_s - one.seen_s >= one.condition.after_s):
                del ongoing[name]
        elif len(sent) < per_day_max:
            notices.append(notice)
            sent = (*sent, at_s)
            if notice.is_over:
                del ongoing[name]
            else:
                ongoing[name] = replace(one, told_s=at_s)
    return notices, NoticeMemory(ongoing, sent)


def _seen(before: dict[str, Ongoing], now: list[Condition], at_s: float) -> dict[str, Ongoing]:
    found = dict(before)
    for condition in now:
        known = found.get(condition.name)
        since_s, told_s = (at_s, None) if known is None else (known.since_s, known.told_s)
        found[condition.name] = Ongoing(condition, since_s, at_s, told_s)
    return found


def _due(one: Ongoing, at_s: float) -> Notice | None:
    lasts = one.seen_s == at_s
    if lasts and one.told_s is None and at_s - one.since_s >= one.condition.after_s:
        return Notice("Sunkeep needs a look", one.condition.text)
    if lasts and one.told_s is not None and at_s - one.told_s >= DAY_S:
        return Notice("Sunkeep still needs a look", one.condition.text)
    is_over = not lasts and one.told_s is not None and at_s - one.seen_s >= one.condition.after_s
    if is_over and one.condition.over:
        return Notice("Sunkeep is well again", one.condition.over, is_over=True)
    return None


def _devices(document: dict[str, Any], after_s: float) -> Iterator[Condition]:
    for slave in document["slaves"]:
        name = slave["name"]
        if not slave["is_heard"]:
            yield Condition(
                f"silent {slave['slot']}",
                f"{name} does not answer. Look whether it has power.",
                after_s,
                f"{name} answers again.",
            )
        elif slave["deviation"] is not None:
            yield Condition(
                f"astray {slave['slot']}",
                f"{name} does not do what it is told; the others take over. A full boiler is no fault.",
                24.0 * after_s,
            )
