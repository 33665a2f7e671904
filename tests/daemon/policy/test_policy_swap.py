"""Another policy takes over in a running daemon, between two ticks, and a bad one changes nothing."""

import asyncio
import gc
import json
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from core.decision import State
from core.site import Site
from daemon import __main__ as command_line
from daemon.bundles.active import Active
from daemon.bundles.store import ModelStore
from daemon.commands.engineering.replay import replay
from daemon.journal.records import Event, PolicyChange, Start, Tick
from daemon.operators.operator_socket import ask
from daemon.runtime.journal_completion import read_whole
from models.inference import Session
from safety.supervisor import CLEAN_PROPOSALS
from tests.support.full_daemon import Whole, until, whole
from tests.support.toy_bundles import plain_model, recurrent_model, write_bundle

PERIOD_S = 0.1
INSTALLED = '\n[policy]\nbundle = "installed"\n'


def bundles(folder: Path) -> ModelStore:
    """toy@1, active, and toy@2, which remembers."""
    folder.mkdir(exist_ok=True)
    store, site = ModelStore(folder), Site((), period_s=PERIOD_S)
    one = write_bundle(folder.parent / "one", plain_model(), period_s=PERIOD_S)
    two = write_bundle(folder.parent / "two", recurrent_model(), True, period_s=PERIOD_S, bundle_version=2)
    store.install(one, site)
    store.install(two, site)
    store.activate("toy@1", site)
    return store


async def sunkeep(*arguments: str) -> int:
    """Exit code of a command, while the daemon lives."""
    return await asyncio.to_thread(command_line.main, arguments)


async def described(folder: Path) -> dict[str, Any]:
    return await asyncio.to_thread(ask, folder, {"command": "policy"}, 5.0)


def state(pair: Whole) -> State | None:
    figures = pair.service.figures
    return None if figures is None or figures.decision is None else figures.decision.verdict.state


def events(folder: Path) -> dict[str, dict[str, Any]]:
    return {r.event: r.detail for r in read_whole(folder / "journal") if isinstance(r, Event)}


@pytest.mark.slow
async def test_a_running_daemon_swaps_replays_and_keeps_what_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions: weakref.WeakSet[Session] = weakref.WeakSet()
    threads: list[str] = []
    begin = Session.__init__

    def counted(self: Session, *arguments: Any) -> None:
        sessions.add(self)
        threads.append(threading.current_thread().name)
        begin(self, *arguments)

    store = bundles(tmp_path / "site")
    monkeypatch.setattr(Session, "__init__", counted)
    folder = tmp_path / "site"
    config = ("--config", str(folder / "site.toml"))
    async with whole(folder, period_s=PERIOD_S, more=INSTALLED) as pair:
        await until(lambda: state(pair) is State.RL_ACTIVE, 30.0)
        assert (await described(folder))["policy"] == "toy 1"

        assert await sunkeep("model", "activate", "toy@2", *config, "--json") == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith('{"active"')]
        told = json.loads(line)
        assert (told["active"], told["daemon"]["policy"]) == ("toy@2", "toy 2")
        assert told["daemon"]["sha256"] == told["sha256"]
        assert state(pair) is State.FALLBACK
        await until(lambda: state(pair) is State.RL_ACTIVE, 30.0)
        assert pair.service.figures is not None
        assert pair.service.figures.about.policy_name == "toy 2"
        assert (pair.service.figures.policy_swaps, pair.service.figures.policy_refusals) == (1, 0)

        policy = store.directory / "toy@1" / "policy.onnx"
        policy.chmod(0o600)
        content = policy.read_bytes()
        policy.write_bytes(content + b"\0")
        assert await sunkeep("model", "rollback", *config) == 78  # refused before anything changes
        choice = store.active.load()
        broken = Active(reference="toy@1", sha256=choice.before[-1].sha256)
        store.active.save(choice.then(broken))  # as if it broke after it was activated
        await until(lambda: bool(pair.service.figures and pair.service.figures.policy_refusals), 10.0)
        facts = await described(folder)
        assert (facts["policy"], facts["is_settled"]) == ("toy 2", True)
        assert "toy@1" in facts["problem"]
        assert "SHA-256" in facts["problem"]
        assert state(pair) is State.RL_ACTIVE
        assert pair.service.figures.about.policy_problem
        await asyncio.sleep(2.5)  # it is told once
        assert pair.service.figures.policy_refusals == 1
        assert state(pair) is State.RL_ACTIVE

        policy.write_bytes(content)
        assert await sunkeep("model", "activate", "toy@2", *config) == 0
        assert (await described(folder))["problem"] == ""
        assert pair.service.figures.policy_swaps == 1  # it was in force all the time
        assert await sunkeep("model", "activate", "toy@1", *config) == 0
        assert (await described(folder))["policy"] == "toy 1"
        await asyncio.sleep(0.5)
        gc.collect()
        assert len(sessions) == 1  # the old ones are gone
        assert [name == "MainThread" for name in threads] == [True] + [False] * (len(threads) - 1)
        await pair.stop()

    judge(folder, store)


def judge(folder: Path, store: ModelStore) -> None:
    """In the journal: a tick without a policy at each swap, and sixty clean proposals."""
    records = [r for r in read_whole(folder / "journal") if isinstance(r, Start | Tick | PolicyChange)]
    assert isinstance(records[0], Start)
    hashes = {item.reference: item.sha256 for item in store.installed()}
    changes = [(i, r) for i, r in enumerate(records) if isinstance(r, PolicyChange)]
    assert records[0].bundle_sha256 == hashes["toy@1"]
    assert [r.bundle_sha256 for _, r in changes] == ["", hashes["toy@2"], "", hashes["toy@1"]]
    for at, change in changes:
        before, after = records[at - 1], records[at + 1]
        assert isinstance(before, Tick)
        assert isinstance(after, Tick)
        assert after.snapshot.tick == before.snapshot.tick + 1
        answered = bool(change.bundle_sha256)
        assert (after.decision.policy_action_w is not None) == answered
        assert ("policy_fault" in after.decision.verdict.causes) == (not answered)
    ticks = [r for r in records if isinstance(r, Tick)]
    withdrawn = [i for i, tick in enumerate(ticks) if tick.decision.policy_action_w is None]
    assert len(withdrawn) == 2
    assert ticks[withdrawn[0] - 1].decision.verdict.state is State.RL_ACTIVE
    waiting = ticks[withdrawn[0] : withdrawn[0] + 1 + CLEAN_PROPOSALS]
    assert all(tick.decision.verdict.state is not State.RL_ACTIVE for tick in waiting)

    said = events(folder)
    assert said["policy_swap_refused"]["kept"] == "toy 2"
    assert said["policy_swapped"]["policy"] == "toy 1"
    result = CliRunner().invoke(replay, [str(folder / "journal"), "--json"], standalone_mode=False)
    outcome = json.loads(result.output)
    assert (outcome["ticks"], outcome["different"], outcome["other_files"]) == (len(ticks), 0, [])


@pytest.mark.slow
async def test_a_changed_configuration_names_another_bundle(tmp_path: Path) -> None:
    store = bundles(tmp_path / "site")
    folder = tmp_path / "site"
    file = folder / "site.toml"
    async with whole(folder, period_s=PERIOD_S, more=INSTALLED) as pair:
        await until(lambda: state(pair) is State.FALLBACK, 20.0)
        figures = pair.service.figures
        assert figures is not None

        async def configure(bundle: str) -> None:
            text = file.read_text()
            file.write_text(text.replace(text.split("[policy]")[1], f'\nbundle = "{bundle}"\n'))

        await configure("../two")
        await until(lambda: events_say(pair, "toy 2"), 10.0)
        await configure("builtin")  # for ticks of a second
        await until(
            lambda: pair.service.figures is not None and pair.service.figures.policy_refusals == 1, 10.0
        )
        assert (await described(folder))["configured"] == "builtin"
        assert "period_s" in (await described(folder))["problem"]
        store.activate("toy@2", Site((), period_s=PERIOD_S))
        await configure("installed")
        await until(
            lambda: bool(pair.service.figures and not pair.service.figures.about.policy_problem), 10.0
        )
        assert (await described(folder))["policy"] == "toy 2"
        await pair.stop()
    assert events(folder)["configuration_reloaded"]["after_restart"] == ""
    result = CliRunner().invoke(replay, [str(folder / "journal"), "--json"], standalone_mode=False)
    assert json.loads(result.output)["different"] == 0


def events_say(pair: Whole, policy: str) -> bool:
    return pair.service.figures is not None and pair.service.figures.about.policy_name == policy


async def test_a_site_without_a_policy_gets_one(tmp_path: Path) -> None:
    """Nothing is active at the start: the fallback acts; what is activated later is taken over."""
    folder = tmp_path / "site"
    async with whole(folder, period_s=PERIOD_S, more=INSTALLED) as pair:
        await until(lambda: state(pair) is State.FALLBACK, 20.0)
        facts = await described(folder)
        assert (facts["policy"], facts["sha256"]) == ("", "")
        assert "no bundle is active" in facts["problem"]
        await asyncio.to_thread(bundles, folder)
        await until(lambda: events_say(pair, "toy 1"), 10.0)
        await until(lambda: state(pair) is State.RL_ACTIVE, 30.0)
        await pair.stop()
    result = CliRunner().invoke(replay, [str(folder / "journal"), "--json"], standalone_mode=False)
    assert json.loads(result.output)["different"] == 0
