"""Operators and the plan: through the daemon's socket and by the file, end to end and in virtual time."""

import asyncio
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner

import safety.policy_comparison
from core.modes import Mode, ModePlan
from daemon.commands.installing.check import check
from daemon.commands.rollout import rollout
from daemon.commissioning.step_checklist import walk_step
from daemon.config.settings import SettingsError, load_settings
from daemon.monitoring.status import document as status_document
from daemon.policy.mode_guard import ModeGuard
from daemon.rollout.plan import RolloutStep
from daemon.simulation.simulate import default_site
from daemon.system.state_file import StateFile
from plant.simulated_site import SimulatedSite
from tests.campaigns.pairs import Pair, running_pair, silent_log, sunny_day
from tests.daemon.rollout.shortened import begun, events, mode_of, planned, step_on_disk
from tests.support import virtual_time
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.support.full_daemon import until
from tests.support.toy_bundles import plain_model, write_bundle

SITE = default_site()


async def ordered(folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and output of `sunkeep rollout`."""
    arguments = [*words, "--config", str(folder / "site.toml")]
    done = await asyncio.to_thread(CliRunner().invoke, rollout, arguments)
    return done.exit_code, done.output + ("" if done.exception is None else str(done.exception))


async def checked(folder: Path, step: str) -> tuple[int, str]:
    """The value and output of `sunkeep check --for`."""
    arguments = ["--for", step, "--config", str(folder / "site.toml")]
    done = await asyncio.to_thread(CliRunner().invoke, check, arguments, standalone_mode=False)
    return done.return_value, done.output


def shown(pair: Pair) -> tuple[str, str, bool]:
    """Step, hold and whether anything is missing, as the status page tells them."""
    figures = pair.whole.service.figures
    assert figures is not None
    told = status_document(figures, 0.0)["details"]["plan"]
    return told["step"], told["held"], any(not demand["holds"] for demand in told["demands"])


async def _orders(folder: Path) -> None:
    async with running_pair(folder, slaves=SITE.slaves[:3], adapt=planned, radio_port=0) as pair:
        await begun(pair)
        await until(lambda: bool(events(folder)), 20.0)
        code, output = await ordered(folder, "status")
        assert code == 0
        assert "RolloutStep     shadow" in output
        assert "missing  time       0.0 h of 168 h" in output
        assert "waits for an operator" in output
        code, output = await checked(folder, "ab")
        assert (code, "FAIL  time            0.0 h of 168 h" in output) == (78, True), output
        assert "ASK   answer yourself Has an engineer read the log" in output
        assert "FAIL  step            the plan is at shadow" in (await checked(folder, "share_50"))[1]
        code, output = await ordered(folder, "advance")
        assert (code != 0, "from shadow to ab is missing: time" in output) == (True, True)
        code, output = await ordered(folder, "advance", "--to", "production")
        assert (code != 0, "the steps between (next is ab)" in output) == (True, True)
        assert mode_of(pair) is Mode.SHADOW
        code, output = await ordered(folder, "advance", "--to", "share_50", "--force")
        assert (code, "forced" in output) == (0, True)
        assert step_on_disk(folder) == "share_50"
        assert mode_of(pair) is Mode.ROLLOUT
        await asyncio.sleep(2.0)
        assert pair.lived[-1].assignment.propensity == 0.5
        assert (await ordered(folder, "hold"))[0] == 0
        assert shown(pair) == ("share_50", "operator", True)
        code, output = await ordered(folder, "advance", "--to", "share_75")
        assert "the plan is held (operator)" in output
        assert (await ordered(folder, "hold", "--release"))[0] == 0
        code, output = await ordered(folder, "back", "--to", "ab")
        assert (code, step_on_disk(folder), mode_of(pair)) == (0, "ab", Mode.AB)
        await pair.whole.stop()
    async with running_pair(folder, slaves=SITE.slaves[:3], adapt=planned, radio_port=0) as pair:
        await begun(pair)
        assert mode_of(pair) is Mode.AB  # where it was
        await pair.whole.stop()


def test_an_operator_moves_the_plan_and_leaps_by_force_alone(tmp_path: Path) -> None:
    with silent_log():
        virtual_time.run(_orders(tmp_path), settle_s=0.0)
    told = [(event.event, event.detail.get("forced")) for event in events(tmp_path)]
    assert told == [
        ("rollout_begun", False),
        ("rollout_advanced", True),
        ("rollout_held", False),
        ("rollout_released", False),
        ("rollout_back", False),
        ("rollout_resumed", False),
    ]


async def _bad(folder: Path) -> tuple[str, Mode | None]:
    more = f'\n[policy]\nbundle = "{write_bundle(folder / "toy", plain_model())}"\n'
    started = running_pair(
        folder, slaves=SITE.slaves, trace=sunny_day(), more=more, adapt=planned, radio_port=0
    )
    async with started as pair:
        await begun(pair)
        await until(lambda: bool(events(folder)), 20.0)
        await ordered(folder, "advance", "--to", "production", "--force")
        await until(lambda: "rollback" in pair.lived[-1].decision.verdict.causes, 400.0)
        await asyncio.sleep(5.0)
        found = step_on_disk(folder), mode_of(pair)
        await pair.whole.stop()
    return found


def test_a_bad_policy_is_back_in_the_shadow(tmp_path: Path) -> None:
    with silent_log(), patch.object(safety.policy_comparison, "GROSS_WH", 20.0):
        assert virtual_time.run(_bad(tmp_path), settle_s=0.0) == ("shadow", Mode.SHADOW)
    last = [event for event in events(tmp_path) if event.event == "rollout_back"]
    assert [(move.detail["source"], move.detail["reasons"]) for move in last] == [
        ("production", ["rollback"])
    ]


def in_shadow(text: str, _far_end: SimulatedSite) -> str:
    return text.replace('mode = "production"', 'mode = "shadow"')


async def edited(pair: Pair, folder: Path, old: str, new: str) -> None:
    file = folder / "site.toml"
    file.write_text(file.read_text().replace(old, new))
    pair.whole.service.requests.reload.set()


def problem(pair: Pair) -> str:
    figures = pair.whole.service.figures
    return "" if figures is None else figures.about.configuration_problem


async def _one_edit(folder: Path) -> None:
    async with running_pair(folder, slaves=SITE.slaves[:3], adapt=in_shadow, radio_port=0) as pair:
        await begun(pair)
        await edited(pair, folder, '"shadow"', '"production"')
        await until(lambda: "is a leap" in problem(pair), 20.0)
        assert mode_of(pair) is Mode.SHADOW
        await pair.whole.stop()
    async with running_pair(
        folder, slaves=SITE.slaves[:3], radio_port=0
    ) as pair:  # a restart is no way around it
        await begun(pair)
        assert (mode_of(pair), "is a leap" in problem(pair)) == (Mode.SHADOW, True)
        assert (await ordered(folder, "back"))[0] != 0
        assert (await ordered(folder, "advance", "--force"))[0] == 0
        await until(lambda: mode_of(pair) is Mode.PRODUCTION, 20.0)
        assert problem(pair) == ""
        await edited(pair, folder, '"production"', '"shadow"')
        await until(lambda: mode_of(pair) is Mode.SHADOW, 20.0)
        await edited(pair, folder, '"shadow"', '"ab"')
        await until(lambda: mode_of(pair) is Mode.AB, 20.0)
        await pair.whole.stop()


def test_one_edit_from_shadow_to_production_is_refused_and_can_be_forced(tmp_path: Path) -> None:
    with silent_log():
        virtual_time.run(_one_edit(tmp_path), settle_s=0.0)
    assert [event.detail["target"] for event in events(tmp_path, "mode_leap")] == ["production"]


@pytest.mark.parametrize(
    ("last", "plan", "is_refused"),
    [
        (None, ModePlan(Mode.PRODUCTION), False),
        (Mode.SHADOW, ModePlan(Mode.PRODUCTION), True),
        (Mode.SHADOW, ModePlan(Mode.ROLLOUT, 100.0), True),
        (Mode.SHADOW, ModePlan(Mode.ROLLOUT, 25.0), False),
        (Mode.SHADOW, ModePlan(Mode.AB), False),
        (Mode.AB, ModePlan(Mode.PRODUCTION), False),
    ],
)
def test_what_a_leap_is(tmp_path: Path, last: Mode | None, plan: ModePlan, is_refused: bool) -> None:
    guard = ModeGuard(tmp_path)
    if last is not None:
        guard.record(last)
    assert bool(ModeGuard(tmp_path).refusal(plan)) is is_refused


def test_a_damaged_record_of_the_mode_counts_as_none(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {},
        {"schema_version": 2, "mode": "shadow"},
        {"schema_version": 1, "mode": 1},
    ]
    for record in records:
        StateFile(tmp_path / "mode").save(record)
        assert ModeGuard(tmp_path).last is None


def test_without_plan_and_alerts_the_checklist_of_the_shadow_says_what_to_do(tmp_path: Path) -> None:
    settings = load_settings(write_configuration(tmp_path))
    items = {item.name: item for item in walk_step(settings, RolloutStep.SHADOW, {})}
    assert [name for name, item in items.items() if not item.ok] == ["radio test", "alerts", "plan"]
    assert "sunkeep zigbee drill" in items["radio test"].detail
    asked = {
        item.name: item.detail for item in walk_step(settings, RolloutStep.PRODUCTION, {}) if not item.ok
    }
    assert asked["daemon"] == "no answer. Start it, and run this as its user."


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("[rollout.shadow]\nleast_h = 23", "least_h: 23 is too small. Write at least 24"),
        ("[rollout]\nshadow = 1", "rollout.shadow"),
        ("[rollout]\nsteps = 3", "rollout.steps"),
        ('[rollout.ab]\nconfirm = "me"', "Choose 'automatic' or 'operator'"),
        ("[rollout]", "mode.mode: says who acts, and [rollout] does so, too"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(tmp_path: Path, section: str, reason: str) -> None:
    path = write_configuration(tmp_path, f"{CONFIGURATION}\n{section}\n")
    with pytest.raises(SettingsError, match=re.escape(reason)):
        load_settings(path)
