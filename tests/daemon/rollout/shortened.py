"""The plan with its weeks shortened to minutes, for tests through the real wires in virtual time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import daemon.policy.rollout_walker as walker
import daemon.rollout.requirements
import safety.policy_comparison
from core.modes import Mode
from daemon.journal.records import Event
from daemon.rollout.plan import Confirmation, RolloutPlan, RolloutStep, StepRule
from daemon.rollout.record import from_record
from daemon.rollout.walk import RolloutState
from daemon.runtime.journal_completion import read_whole
from daemon.simulation.simulate import default_site
from daemon.system.state_file import StateFile
from plant.simulated_site import SimulatedSite
from tests.campaigns.pairs import Pair, silent_log
from tests.support.full_daemon import until

SITE = default_site()
STEP_S = 30.0
POOR = "\n[fallback]\nkp = 0.05\nki = 0.01\n"
"""Gains with which any policy is better, within the minutes of these tests."""
STEPS = [step.value for step in RolloutStep]


@contextmanager
def minutes_for_weeks(confirm: Confirmation = Confirmation.AUTOMATIC) -> Iterator[None]:
    """The same rules with other numbers: no configuration may ask for less than a day."""
    rule = StepRule(STEP_S, STEP_S / 2.0, 1, confirm)
    with (
        patch.object(walker, "plan_of", lambda _section: RolloutPlan((rule,) * 6, 20.0)),
        patch.object(safety.policy_comparison, "BETTER_ALPHA", 0.9),  # minutes leave no doubt out
        patch.object(safety.policy_comparison, "BETTER_MIN", 0.0),
        patch.object(daemon.rollout.requirements, "IMBALANCE_MAX_W", 2000.0),
        patch.object(daemon.rollout.requirements, "CHANGES_MAX_PER_MIN", 60.0),  # noon under broken clouds
        patch.object(walker, "CHECK_EVERY_S", 3.0),
        patch.object(walker, "SAVE_EVERY_S", 10.0),
        patch.object(safety.policy_comparison, "SPAN_S", 2.0),
        patch.object(safety.policy_comparison, "DAY_MAX_S", 2.0),
        silent_log(),
    ):
        yield


def planned(text: str, _far_end: SimulatedSite) -> str:
    return text.replace('mode = "production"', 'mode = "shadow"') + "\n[rollout]\n"


async def begun(pair: Pair) -> None:
    await until(lambda: bool(pair.lived) and pair.lived[-1].decision.estimate.fresh, 30.0)
    pair.warm()


def step_on_disk(folder: Path) -> str:
    """What a daemon that starts now would begin with."""
    record = StateFile(folder / walker.NAME).load()
    state = RolloutState() if record is None else from_record(record)
    assert state is not None
    return state.step.value


def events(folder: Path, prefix: str = "rollout_") -> list[Event]:
    records = read_whole(folder / "journal")
    return [r for r in records if isinstance(r, Event) and r.event.startswith(prefix)]


def mode_of(pair: Pair) -> Mode | None:
    figures = pair.whole.service.figures
    return None if figures is None else figures.about.mode
