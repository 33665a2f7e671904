"""The driver of Zigbee relays and dimmers before virtual ones, through the real radio, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from daemon.system.clock import boottime_s
from drivers.errors import ConfigError, Transient, Unconfirmed
from drivers.zigbee.radio import ZigbeeRadio
from drivers.zigbee.settings import ZigbeeSettings
from drivers.zigbee_devices.air_budget import BURST_S, UNICAST_S, AirBudget, broadcast_s
from drivers.zigbee_devices.timed_output import TimedOutput
from drivers.zigbee_devices.unicasts import ZigbeeUnicasts
from plant.devices.zigbee_output import OutputMake, VirtualOutput
from plant.radio.channel import immediate, no_loss
from plant.radio.network import RadioSite, serve_radio_site
from plant.radio.slave_node import ieee_of
from tests.support.virtual_time import run

SLOT, MAX_W, DEAD_MAN_S = 7, 2000, 20.0
KEY = bytes(range(32))


@asynccontextmanager
async def spoken_to(
    *, is_dimmed: bool = False, make: OutputMake | None = None, **more: Any
) -> AsyncIterator[tuple[TimedOutput, VirtualOutput, RadioSite]]:
    site = await serve_radio_site(
        [(0, 1700)],
        KEY,
        measured_w=lambda slot: 0.0,
        rng=Random(1),
        clock=boottime_s,
        broadcast_delay=immediate,
        loss=no_loss,
    )
    output = VirtualOutput(site.air, SLOT, max_w=MAX_W, is_dimmed=is_dimmed, make=make)
    output._measured_w = lambda: output.acting_w(boottime_s())
    site.air.add(output)
    settings = ZigbeeSettings(path=site.path, slots=(0,))
    radio = ZigbeeRadio(settings, key=KEY, on_event=lambda _: None, clock=boottime_s, rng=Random(2))
    await radio.start()
    try:
        while not radio.up:
            await asyncio.sleep(0.1)
        budget = AirBudget(boottime_s, lambda: radio.statistics.setpoint_broadcasts, 2)
        options = {"max_w": MAX_W, "dead_man_s": DEAD_MAN_S, "stays_off": False} | more
        unicasts = ZigbeeUnicasts(radio, budget, boottime_s)
        yield TimedOutput(unicasts, ieee_of(SLOT)[::-1].hex(":"), 1, is_dimmed, **options), output, site
    finally:
        await radio.stop()
        await site.stop()


async def opened_and_told(driver: TimedOutput) -> None:
    await driver.open()
    await driver.write(MAX_W)


def test_a_plug_is_on_while_it_is_told_so_and_off_by_itself() -> None:
    async def body() -> None:
        async with spoken_to() as (driver, plug, site):
            await driver.open()
            assert driver.version == "1.0.0"
            await driver.write(1999)
            assert plug.acting_w(boottime_s()) == 0.0, "never more than it is told"
            await driver.write(MAX_W)
            assert plug.acting_w(boottime_s()) == MAX_W
            for _ in range(4):
                await asyncio.sleep(15.0)
                await driver.write(MAX_W)
                assert plug.acting_w(boottime_s()) == MAX_W, "renewed"
            reading = await driver.read()
            assert (reading.applied_w, reading.power_w) == (MAX_W, MAX_W)
            await asyncio.sleep(DEAD_MAN_S + 0.2)
            assert plug.acting_w(boottime_s()) == 0.0
            assert (await driver.read()).applied_w == 0
            await driver.write(MAX_W)
            await driver.write(0)
            assert plug.acting_w(boottime_s()) == 0.0
            assert site.air.statistics.broadcasts_offered <= 3, "it was looked for once"

    run(body())


def test_a_dimmer_never_comes_on_with_more_than_it_is_told() -> None:
    async def body() -> None:
        async with spoken_to(is_dimmed=True) as (driver, dimmer, _):
            await driver.open()
            await driver.write(500)
            step_w = MAX_W / 254
            assert max(watts for _, watts in dimmer.told) <= 500
            assert 500 - step_w <= dimmer.acting_w(boottime_s()) <= 500
            assert (await driver.read()).applied_w == 500, "a level is coarser than what was told"
            dimmer.level = 127
            assert (await driver.read()).applied_w == 1000, "somebody has turned it"
            dimmer.level = driver._level or 0
            told = len(dimmer.told)
            await driver.write(500)
            assert len(dimmer.told) == told + 1, "the same level again is one question, not two"
            await driver.write(1500)
            assert 1500 - step_w <= dimmer.acting_w(boottime_s()) <= 1500
            await asyncio.sleep(DEAD_MAN_S + 0.2)
            assert dimmer.acting_w(boottime_s()) == 0.0

    run(body())


@pytest.mark.parametrize(
    ("make", "more", "told"),
    [
        (OutputMake(has_timer=False), {}, "knows no timed off"),
        (OutputMake(start_up=None), {}, "write stays_off = true"),
        (OutputMake(lie="truncates"), {"dead_man_s": 30.0}, "4.4 s instead of 30 s"),
        (OutputMake(lie="truncates"), {"dead_man_s": 25.6}, "0 s instead of 25.6 s"),
    ],
)
def test_what_shows_that_it_lies_is_refused_and_left_off(
    make: OutputMake, more: dict[str, Any], told: str
) -> None:
    async def body() -> None:
        async with spoken_to(make=make, **more) as (driver, plug, _):
            with pytest.raises(ConfigError) as refused:
                await opened_and_told(driver)
            assert told in str(refused.value)
            assert plug.acting_w(boottime_s()) == 0.0

    run(body())


def test_a_plug_that_would_come_on_after_a_power_cut_is_set_right() -> None:
    async def body() -> None:
        make = OutputMake(start_up=0xFF)
        async with spoken_to(make=make) as (driver, _, _site):
            await driver.open()
            assert make.start_up == 0
        async with spoken_to(make=OutputMake(start_up=None), stays_off=True) as (driver, _, _site):
            await driver.open()

    run(body())


def test_one_that_is_gone_is_looked_for_seldom_and_found_at_its_new_address() -> None:
    async def body() -> None:
        async with spoken_to() as (driver, plug, site):
            await driver.open()
            site.air.remove(plug)
            before = site.air.statistics.broadcasts_offered
            for _ in range(5):
                with pytest.raises(Unconfirmed):
                    await driver.write(MAX_W)
                await asyncio.sleep(1.0)
            assert site.air.statistics.broadcasts_offered - before <= 1
            plug.address = 0x4321
            site.air.add(plug)
            await asyncio.sleep(60.0)
            await driver.write(MAX_W)
            assert plug.acting_w(boottime_s()) == MAX_W

    run(body())


def test_setpoints_wait_when_the_air_is_used_up_and_rest_does_not() -> None:
    async def body() -> None:
        async with spoken_to() as (driver, plug, _):
            await driver.open()
            await driver.write(MAX_W)
            budget = driver.unicasts.budget
            while budget.may_ask():
                budget.spend()
            asked = budget.unicasts_total
            with pytest.raises(Transient) as refused:
                await driver.write(MAX_W)
            assert refused.value.kind == "budget"
            assert budget.unicasts_total == asked
            await driver.write(0)
            assert plug.acting_w(boottime_s()) == 0.0
            await asyncio.sleep(1.0)
            await driver.write(MAX_W)

    run(body())


def test_broadcasts_and_unicasts_spend_the_same_air() -> None:
    now_s, broadcasts = 100.0, 0
    budget = AirBudget(lambda: now_s, lambda: broadcasts, routers=9)
    asked = 0
    while budget.may_ask():
        budget.spend()
        asked += 1
    assert asked == pytest.approx(BURST_S / UNICAST_S, abs=1)
    now_s += 1.0
    assert budget.may_ask()
    broadcasts += 8
    assert not budget.may_ask(), f"8 broadcasts take {8 * broadcast_s(9):.2f} s"
    now_s += 10.0
    assert budget.may_ask(waits=True)
