"""The plan through the real wires, in virtual time and with its weeks shortened to minutes."""

import asyncio
from hashlib import sha256
from pathlib import Path

from core.modes import Mode
from daemon.commissioning.embedded_site import KEY_FILE
from daemon.journal.records import Tick
from daemon.rollout.plan import RolloutStep
from daemon.runtime.journal_completion import read_whole
from tests.campaigns.pairs import running_pair
from tests.daemon.rollout.shortened import (
    POOR,
    SITE,
    STEPS,
    begun,
    events,
    minutes_for_weeks,
    planned,
    step_on_disk,
)
from tests.support import virtual_time

BEGAN_UNIX_S = 1_782_900_013.0
"""With the key it draws the lot of the blocks: minutes for weeks hold too few of them for every lot."""


async def walked(folder: Path, least: RolloutStep) -> list[str]:
    """Live until the plan has come so far; what a kill would leave on the disk is looked at all the time."""
    seen: list[str] = []
    (folder / KEY_FILE).write_text(sha256(b"a lot").hexdigest())
    (folder / KEY_FILE).chmod(0o600)
    async with running_pair(folder, slaves=SITE.slaves, more=POOR, adapt=planned, radio_port=0) as pair:
        await begun(pair)
        began_s = pair.lived[-1].snapshot.at_s
        while not seen or seen[-1] != least.value:
            assert pair.lived[-1].snapshot.at_s - began_s < 900.0, seen[-1]
            await asyncio.sleep(1.0)
            seen.append(step_on_disk(folder))
        await pair.whole.stop()
    return seen


def test_a_good_policy_reaches_production_step_by_step(tmp_path: Path) -> None:
    with minutes_for_weeks():
        seen = virtual_time.run(
            walked(tmp_path, RolloutStep.PRODUCTION), settle_s=0.0, began_unix_s=BEGAN_UNIX_S
        )
    assert list(dict.fromkeys(seen)) == STEPS
    moves = [event for event in events(tmp_path) if event.event == "rollout_advanced"]
    assert [move.detail["target"] for move in moves] == STEPS[1:]
    assert all(any(r.startswith("export: -") for r in move.detail["reasons"]) for move in moves)
    assert {tick.mode for tick in read_whole(tmp_path / "journal") if isinstance(tick, Tick)} == set(Mode)
