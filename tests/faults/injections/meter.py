"""Faults of the meter and of its wire."""

import os
from random import Random

from tests.campaigns.pairs import Pair
from tests.faults.injections import Injection


def faults(name: str, right: object = False, **wrong: object) -> Injection:
    """The attributes of the meter's faults, wrong and right again (all of them alike)."""

    def put(pair: Pair, values: dict[str, object]) -> None:
        for attribute, value in values.items():
            setattr(pair.whole.far_end.meter.faults, attribute, value)

    return Injection(
        name,
        lambda pair, _: put(pair, wrong),
        lambda pair, _: put(pair, dict.fromkeys(wrong, right)),
    )


def closed() -> Injection:
    """The connection is reset and new ones are refused."""

    async def begin(pair: Pair, _rng: Random) -> None:
        await pair.whole.far_end.meter.stop()

    async def end(pair: Pair, _rng: Random) -> None:
        far_end = pair.whole.far_end
        await far_end.meter.start(far_end.meter_port)

    return Injection("connection reset, then refused", begin, end)


def exchanged() -> Injection:
    """Another device of the same kind behind the same address."""

    async def begin(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.meter.serial_number += 1
        await _reconnect(pair)

    async def end(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.meter.serial_number -= 1
        await _reconnect(pair)

    return Injection("another serial number after a reconnect", begin, end)


async def _reconnect(pair: Pair) -> None:
    far_end = pair.whole.far_end
    await far_end.meter.stop()
    await far_end.meter.start(far_end.meter_port)


def bus_noise() -> Injection:
    """A second master on the serial line: bytes that nobody asked for, many times a second."""
    state = {"on": False}

    def send(pair: Pair, rng: Random) -> None:
        path = pair.whole.far_end.meter.line_path
        if not state["on"] or path is None:
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_NOCTTY)
        os.write(descriptor, rng.randbytes(rng.randint(1, 12)))
        os.close(descriptor)
        pair.whole.far_end.radio.air.later(rng.uniform(0.001, 0.02), send, pair, rng)

    def begin(pair: Pair, rng: Random) -> None:
        state["on"] = True
        send(pair, Random(rng.random()))

    def end(_pair: Pair, _rng: Random) -> None:
        state["on"] = False

    return Injection("a second master on the serial line", begin, end)


def unplugged(name: str) -> Injection:
    """The serial adapter is pulled; plugged in again it has another device file behind the same link."""

    def begin(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.meter.unplug()

    async def end(pair: Pair, _rng: Random) -> None:
        link = pair.whole.folder / name
        await pair.whole.far_end.meter.stop()
        path = await pair.whole.far_end.meter.start_serial()
        link.unlink()
        link.symlink_to(path)

    return Injection("serial adapter pulled", begin, end)
