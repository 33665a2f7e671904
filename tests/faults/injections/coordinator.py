"""Faults of the coordinator and of the line to it."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from unittest.mock import patch

import bellows.types as t

import drivers.zigbee.setpoint_broadcast
from drivers.zigbee.setpoint_frame import encode
from plant.radio.broadcast_limiter import BroadcastLimiter, LimiterModel
from plant.radio.coordinator.nvram import Nvram
from tests.campaigns.pairs import Pair
from tests.faults.injections import Injection


def crash(code: t.NcpResetCode = t.NcpResetCode.RESET_WATCHDOG) -> Injection:
    """The coordinator resets itself: its network is down until the host starts it again."""
    return Injection(
        f"coordinator resets itself ({code.name})", lambda pair, _: _coordinator(pair).crash(code)
    )


def link_failed() -> Injection:
    """The serial link layer gives up."""
    return Injection("serial link fails", lambda pair, _: _coordinator(pair).fail_link())


def silent(*, unplugged: bool = False) -> Injection:
    """It hears and says nothing, and reconnecting does not help, until it is powered anew."""

    def begin(pair: Pair, _rng: Random) -> None:
        coordinator = _coordinator(pair)
        coordinator.dead = True
        coordinator.hang()
        if unplugged:
            coordinator.unplug()

    def end(pair: Pair, _rng: Random) -> None:
        coordinator = _coordinator(pair)
        coordinator.dead = False
        if coordinator.ash is not None:
            coordinator.ash.mute = False
            coordinator.crash(t.NcpResetCode.RESET_POWER_ON)

    return Injection("coordinator never comes back" if unplugged else "coordinator hangs", begin, end)


def hung_commands() -> Injection:
    """The link layer acknowledges, and no command is answered, until a reset."""

    def begin(pair: Pair, _rng: Random) -> None:
        _coordinator(pair).hung = True

    return Injection("coordinator acknowledges but answers nothing", begin)


def unplug() -> Injection:
    """The connection breaks; the next one works."""
    return Injection("connection to the coordinator breaks", lambda pair, _: _coordinator(pair).unplug())


def table_full(size: int = 0) -> Injection:
    """The broadcast table has room for so many broadcasts of 9 s each; 0: for none."""

    def begin(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.radio.air.limiter = BroadcastLimiter(size, LimiterModel.SPEC)

    def end(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.radio.air.limiter = BroadcastLimiter()

    name = "broadcast table stays full" if size == 0 else f"broadcast table of {size} entries of 9 s"
    return Injection(name, begin, end)


def sending_refused(status: t.sl_Status) -> Injection:
    """Every broadcast is refused with a status."""

    def begin(pair: Pair, _rng: Random) -> None:
        _coordinator(pair).stack.refusals["sendBroadcast"] = status

    def end(pair: Pair, _rng: Random) -> None:
        _coordinator(pair).stack.refusals.clear()

    return Injection(f"every frame is refused ({status.name})", begin, end)


def counter_rolled_back() -> Injection:
    """The coordinator is restored from a backup: its frame counter is a million behind."""

    def begin(pair: Pair, _rng: Random) -> None:
        coordinator = _coordinator(pair)
        medium = pair.whole.far_end.radio.air
        for heard in medium._heard_counters:
            medium._heard_counters[heard] += 1_000_000
        coordinator.crash(t.NcpResetCode.RESET_POWER_ON)

    def end(pair: Pair, _rng: Random) -> None:
        coordinator = _coordinator(pair)
        coordinator.nvram.security.frame_counter += 2_000_000
        coordinator.crash(t.NcpResetCode.RESET_POWER_ON)

    return Injection("coordinator restored with an old frame counter", begin, end)


def blank() -> Injection:
    """The coordinator has lost its network, as after a factory reset."""
    return _other_memory("coordinator without a network", lambda _rng: Nvram())


def exchanged() -> Injection:
    """Another stick, with another network on it."""
    return _other_memory(
        "another coordinator with another network", lambda rng: Nvram.formed(Random(rng.random()))
    )


def _other_memory(name: str, other: Callable[[Random], Nvram]) -> Injection:
    kept: dict[int, Nvram] = {}

    def put(pair: Pair, nvram: Nvram) -> None:
        coordinator = _coordinator(pair)
        coordinator.nvram = coordinator.stack.nvram = nvram
        coordinator.unplug()

    def begin(pair: Pair, rng: Random) -> None:
        kept[id(pair)] = _coordinator(pair).nvram
        put(pair, other(rng))

    def end(pair: Pair, _rng: Random) -> None:
        put(pair, kept.pop(id(pair)))

    return Injection(name, begin, end)


def stick_pulled(name: str) -> Injection:
    """The stick is pulled; plugged in again it has another device file behind the same link."""

    def begin(pair: Pair, _rng: Random) -> None:
        _coordinator(pair).unplug()

    async def end(pair: Pair, _rng: Random) -> None:
        link = pair.whole.folder / name
        path = await _coordinator(pair).start_pty()
        link.unlink()
        link.symlink_to(path)

    return Injection("stick pulled", begin, end)


def wrong_encoding() -> Injection:
    """The next frame says something else than was decided."""
    spoilt = {"left": 0}

    def wrong(by_slot: Mapping[int, int], **rest: Any) -> list[bytes]:
        if spoilt["left"]:
            spoilt["left"] -= 1
            by_slot = {slot: watts + 50 for slot, watts in by_slot.items()}
        return encode(by_slot, **rest)

    spoiling = patch.object(drivers.zigbee.setpoint_broadcast, "encode", wrong)

    def begin(_pair: Pair, _rng: Random) -> None:
        spoilt["left"] = 1
        spoiling.start()

    def end(_pair: Pair, _rng: Random) -> None:
        spoiling.stop()

    return Injection("a frame is encoded wrongly", begin, end)


def _coordinator(pair: Pair) -> Any:
    return pair.whole.far_end.radio.coordinator
