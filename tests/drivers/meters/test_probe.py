"""Every meter that the virtual one can be is recognised, by reading alone; what is no meter is not."""

import time
from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from drivers.meters.modbus_transport import Rtu, Tcp, Transport
from drivers.meters.probe import ProbeResult, Silence, best, probe, timeout_s
from drivers.meters.profile import Profile, load_profile, profile_names
from plant.meters.layouts import LAYOUTS
from tests.support.meter_wire import Wire, wired

PROFILES = {name: load_profile(name) for name in profile_names()}
TWINS = {"sdm630": {"sdm630", "sdm72d-m-v2"}}
"""Profiles that read the same registers cannot be told apart."""


async def outcome(
    *transports: Transport, profiles: dict[str, Profile] = PROFILES
) -> tuple[list[ProbeResult], list[Silence]]:
    found = [item async for item in probe(transports, profiles, time.monotonic)]
    trials = [item for item in found if isinstance(item, ProbeResult)]
    return trials, [item for item in found if isinstance(item, Silence)]


def at(wire: Wire, device_id: int = 1) -> Tcp:
    return Tcp("127.0.0.1", wire.port, device_id)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_each_layout_is_recognised_and_nothing_is_written(layout: str) -> None:
    async with wired(layout) as wire:
        functions: set[int] = set()
        answer = wire.virtual._on_access

        async def noted(function: int, *rest: Any) -> ExcCodes | None:
            functions.add(function)
            return await answer(function, *rest)

        await wire.virtual.stop()
        wire.virtual._on_access = noted  # type: ignore[assignment, method-assign]
        wire.port = await wire.virtual.start()
        trials, silences = await outcome(at(wire))
    assert {trial.profile for trial in best(trials)} == TWINS.get(layout, {layout})
    assert [trial.profile for trial in trials] == list(PROFILES)
    assert not silences
    assert functions
    assert functions <= {3, 4}
    for trial in trials:
        assert trial.fits == (trial.profile in TWINS.get(layout, {layout})), trial


async def test_a_serial_meter_is_found_at_its_setting() -> None:
    async with wired("em340", serial=True) as wire:
        other, right = Rtu(wire.path, device_id=9), Rtu(wire.path, 19200)
        trials, silences = await outcome(other, right)
    assert [silence.transport for silence in silences] == [other]
    (found,) = best(trials)
    assert (found.profile, found.transport) == ("em340", right)
    assert "measurement mode 1" in found.speaks_for


@pytest.mark.parametrize(
    ("fault", "value", "words"),
    [
        ("zeroed", True, "exactly zero"),
        ("scale", 10.0, "power does not fit voltage times current"),
        ("swapped_words", True, ""),
        ("absent", True, "not available"),
    ],
)
async def test_values_that_cannot_be_fit_no_profile(fault: str, value: object, words: str) -> None:
    async with wired("sdm630") as wire:
        setattr(wire.virtual.faults, fault, value)
        trials, _ = await outcome(at(wire))
    assert not best(trials)
    (trial,) = [trial for trial in trials if trial.profile == "sdm630"]
    assert any(words in reason for reason in trial.speaks_against)


async def test_silence_is_told_in_bounded_time() -> None:
    async with wired("sdm630") as wire:
        wire.virtual.faults.mute = True
        began_s = time.monotonic()
        trials, silences = await outcome(at(wire), at(wire, 2))
        took_s = time.monotonic() - began_s
    assert not trials
    assert [silence.reason for silence in silences] == ["no answer"] * 2
    requests = {(p.function, p.power_block) for p in PROFILES.values()}
    assert took_s < 2 * len(requests) * timeout_s(at(wire)) + 2.0


async def test_where_nobody_listens_the_first_setting_says_so() -> None:
    async with wired("sdm630") as wire:
        transport = at(wire)
    trials, silences = await outcome(transport, transport)
    assert not trials
    (silence,) = silences
    assert silence.reason.startswith("cannot connect")


async def test_a_gateway_without_the_device_is_no_meter() -> None:
    async with wired("sdm630") as wire:
        wire.virtual.faults.exception = 11  # for the registers that exist; a gateway knows none
        trials, silences = await outcome(at(wire), profiles={"sdm630": PROFILES["sdm630"]})
    assert not trials
    assert silences[0].reason == "the gateway has no device with this id"


async def test_one_lost_answer_does_not_hide_a_meter() -> None:
    async with wired("umg") as wire:
        wire.virtual.faults.drop = 1
        trials, _ = await outcome(at(wire))
    assert [trial.profile for trial in best(trials)] == ["umg"]


async def test_another_application_of_a_gavazzi_is_told() -> None:
    async with wired("em24") as wire:
        wire.virtual._words = {}
        layout = wire.virtual._layout
        wire.virtual._layout = type(layout)(
            layout.functions, layout.ranges, layout.entries, {0x1101: (3,)}, longest_read=11
        )
        trials, _ = await outcome(at(wire))
    (trial,) = [trial for trial in trials if trial.profile == "em24"]
    assert "application is 3, expected 7" in trial.speaks_against[0]
    assert "application H" in trial.speaks_against[0]
    assert not best(trials)
