"""Which notices go out, when, and to whom."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.gateway_sections import NotifySection
from daemon.errors import StartError
from daemon.gateway.notices import DAY_S, Condition, Notice, NoticeMemory, conditions, step
from daemon.gateway.notifier import Notifier, read_addresses, sender
from daemon.gateway.status_client import StatusReading
from daemon.monitoring.figures import Figures
from daemon.monitoring.status import status
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, feed

TROUBLE = Condition("trouble", "The meter does not answer.", 300.0, "All is well again.")


def reading(scene: str = "sunny", **about: str) -> StatusReading:
    figures = Figures(SITE, replace(ABOUT, **about), 1000.0)  # type: ignore[arg-type]
    feed(figures, FedHouse(), scene, 30)
    return StatusReading(status(figures, 1030.5))


def names(read: StatusReading) -> set[str]:
    return {one.name for one in conditions(read, 300.0)}


def test_a_site_that_is_well_is_worth_no_notice() -> None:
    assert names(reading()) == set()


def test_what_an_owner_should_know() -> None:
    assert names(StatusReading(None, "no daemon answers")) == {"daemon"}
    assert names(reading("stopped")) == {"trouble"}
    assert names(reading("partly")) == {"silent 3"}
    assert names(reading(configuration_problem="line 3")) == {"configuration_problem"}
    full = reading()
    assert full.document is not None
    full.document["site"]["recording_problem"] = "journal: No space left on device"
    assert names(full) == {"recording_problem"}
    old = reading()
    assert old.document is not None
    old.document["tick_age_s"] = 60.0
    assert names(old) == {"daemon"}


def lived(
    until_s: float, present: Any, per_day_max: int = 10, every_s: float = 10.0
) -> list[tuple[float, Notice]]:
    """All notices of a time in which `present(at_s)` gives the conditions."""
    memory, told, at_s = NoticeMemory(), [], 0.0
    while at_s <= until_s:
        notices, memory = step(memory, present(at_s), at_s, per_day_max)
        told += [(at_s, notice) for notice in notices]
        at_s += every_s
    return told


def test_trouble_is_told_once_and_so_is_its_end() -> None:
    told = lived(7200.0, lambda at_s: [TROUBLE] if 600.0 <= at_s <= 3000.0 else [])
    assert [(at_s, notice.body) for at_s, notice in told] == [
        (900.0, "The meter does not answer."),
        (3300.0, "All is well again."),
    ]


def test_what_lasts_is_told_again_once_a_day() -> None:
    told = lived(2.5 * DAY_S, lambda _: [TROUBLE], every_s=60.0)
    assert [at_s for at_s, _ in told] == [300.0, 300.0 + DAY_S, 300.0 + 2 * DAY_S]


def test_what_comes_and_goes_is_not_told() -> None:
    assert not lived(7200.0, lambda at_s: [TROUBLE] if at_s % 290.0 < 200.0 else [])


def test_a_short_pause_of_trouble_is_no_end() -> None:
    told = lived(3600.0, lambda at_s: [] if 1000.0 <= at_s <= 1200.0 else [TROUBLE])
    assert [at_s for at_s, _ in told] == [300.0]


@given(
    st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=200),
    st.integers(1, 4),
    st.floats(0.0, 3000.0),
)
def test_no_day_has_more_notices_than_allowed(
    history: list[set[int]], per_day_max: int, after_s: float
) -> None:
    told = lived(
        (len(history) - 1) * 600.0,
        lambda at_s: [Condition(f"c{n}", f"c{n}", after_s, "over") for n in history[int(at_s // 600)]],
        per_day_max,
        every_s=600.0,
    )
    for at_s, _ in told:
        assert sum(at_s <= other_s < at_s + DAY_S for other_s, _ in told) <= per_day_max
    for at_s, notice in told:
        if not notice.is_over:
            place = int(at_s // 600)
            assert int(notice.body[1:]) in history[place]


@pytest.fixture
async def webhook() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a service on loopback, and what it heard."""
    heard: list[dict[str, Any]] = []

    async def hear(request: web.BaseRequest) -> web.Response:
        heard.append(json.loads(await request.text()))
        return web.Response()

    runner = web.ServerRunner(web.Server(hear))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"json://127.0.0.1:{runner.addresses[0][1]}/", heard
    await runner.cleanup()


async def test_a_notice_reaches_a_webhook_and_says_who_did_not_take_it(
    webhook: tuple[str, list[dict[str, Any]]],
) -> None:
    address, heard = webhook
    send = sender([address, "json://127.0.0.1:1/"])
    at_s = 0.0

    async def stopped() -> StatusReading:
        return reading("stopped")

    section = NotifySection(addresses_file=Path("x"), after_s=30.0)
    notifier = Notifier(section, stopped, send, lambda: at_s)
    memory = await notifier.look(NoticeMemory())
    assert heard == []
    at_s = 40.0
    memory = await notifier.look(memory)
    assert [one["title"] for one in heard] == ["Sunkeep needs a look"]
    assert "0 W for safety" in heard[0]["message"]
    assert await send(Notice("a", "b")) == (1, 2)


def test_addresses_are_private_and_understood(tmp_path: Path) -> None:
    file = tmp_path / "addresses"
    section = NotifySection(addresses_file=file)
    file.write_text("# nothing yet\n\n")
    file.chmod(0o600)
    with pytest.raises(StartError, match="holds no address"):
        read_addresses(section)
    file.write_text("# mine\njson://127.0.0.1:1/\n")
    assert read_addresses(section) == ["json://127.0.0.1:1/"]
    file.chmod(0o640)
    with pytest.raises(StartError, match="chmod 600"):
        read_addresses(section)
    with pytest.raises(StartError, match=r"address 1 \(nonsense://\.\.\.\)") as caught:
        sender(["nonsense://user:secret@host"])
    assert "secret" not in str(caught.value)


def test_the_command_tries_every_address(tmp_path: Path) -> None:
    addresses = tmp_path / "notify.addresses"
    addresses.write_text("json://127.0.0.1:1/\n")
    addresses.chmod(0o600)
    config = write_configuration(tmp_path, CONFIGURATION + '[notify]\naddresses_file = "notify.addresses"\n')
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "gateway", "--test-notice", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "0 of 1 addresses took the notice.\n"), done.stderr
    assert done.stderr == ""
