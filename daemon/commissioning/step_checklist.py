"""The specification's checklist before a step of the plan: what can be known here, and what a person answers.

What the daemon has seen is asked of the running daemon; everything else is in the configuration and the state
directory.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from daemon.commissioning.preflight import Item
from daemon.commissioning.radio_test_record import last_drill
from daemon.config.settings import Settings
from daemon.rollout.plan import STEPS, RolloutStep, before

TO_ANSWER = {
    RolloutStep.SHADOW: (
        "Does `sunkeep evaluate` hold every criterion of this bundle: 10 % less export, 5 % less peak?",
    ),
    RolloutStep.AB: ("Has an engineer read the log and the report of the shadow?",),
    RolloutStep.SHARE_25: ("Was `sunkeep rollout back` tried on this site?",),
    RolloutStep.PRODUCTION: (
        "Who is called when the plan goes back to the shadow?",
        "Is there a date for the next `sunkeep retrain`, and for the weekly look at the report?",
    ),
}
"""What no machine knows (the specification's deployment checklist)."""


def walk_step(settings: Settings, step: RolloutStep, answer: Mapping[str, Any]) -> Iterator[Item]:
    """The checklist before this step. A question to a person is an item that is asked, and does not fail.

    Args:
        answer: what the running daemon says of its plan; empty without an answer.
    """
    if step is RolloutStep.SHADOW:
        yield from _installed(settings)
    else:
        yield _plan(settings)
        yield from _seen(answer, step)
    for question in TO_ANSWER.get(step, ()):
        yield Item("answer yourself", True, question, is_question=True)


def _installed(settings: Settings) -> Iterator[Item]:
    drill = last_drill(settings.state.directory)
    if drill is None:
        yield Item("radio test", False, "no record. Run `sunkeep zigbee drill` while the daemon is stopped.")
    else:
        silent = ", ".join(slot.name for slot in drill.silent)
        found = f"{silent} never answered" if silent else "every slave answered"
        yield Item("radio test", not silent, f"{drill.at_utc}: {found}")
    told = settings.notify is not None or settings.mqtt is not None
    yield Item(
        "alerts",
        told,
        "somebody is told"
        if told
        else "nobody is told. Write [notify] or [mqtt], and run `sunkeep gateway`.",
    )
    yield _plan(settings)


def _plan(settings: Settings) -> Item:
    if settings.rollout is None:
        return Item(
            "plan", False, "no [rollout] in the configuration: no step is taken on evidence. Write it."
        )
    return Item("plan", True, f"[rollout] with blocks of {settings.rollout.blocks.replace('_', ' ')}")


def _seen(answer: Mapping[str, Any], step: RolloutStep) -> Iterator[Item]:
    """What the running daemon says of the step before."""
    if not answer:
        yield Item("daemon", False, "no answer. Start it, and run this as its user.")
        return
    if not answer.get("plan"):
        why = "it runs without a plan: reload or restart it."
        yield Item("daemon", False, str(answer.get("refused", why)))
        return
    now = RolloutStep(answer["step"])
    if STEPS.index(now) >= STEPS.index(step):
        yield Item("step", True, f"the plan is at {now.value} already")
        return
    earlier = before(step)
    yield Item("step", now is earlier, f"the plan is at {now.value}, and {earlier.value} comes before")
    yield from (_requirement(one) for one in answer["requirements"])


def _requirement(one: dict[str, Any]) -> Item:
    return Item(str(one["name"]), one["holds"] is True, str(one["found"]))
