"""Faults between the antennas, and of slaves."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from plant.radio.channel import BurstLoss, Loss, no_loss
from plant.radio.medium import ApsFrame, Delivery
from plant.radio.slave_firmware import CLUSTER
from plant.simulated_site import SimulatedSite
from tests.campaigns.pairs import Pair
from tests.faults.injections import Injection

PARTLY_W = (300.0, 900.0)
"""Of slaves of 1700 W."""


def changed(name: str, right: object, **wrong: object) -> Injection:
    """Attributes of the air, wrong and right again."""

    def put(pair: Pair, values: dict[str, object]) -> None:
        for attribute, value in values.items():
            setattr(pair.whole.far_end.radio.air, attribute, value)

    return Injection(
        name, lambda pair, _: put(pair, wrong), lambda pair, _: put(pair, dict.fromkeys(wrong, right))
    )


def lossy(name: str, loss: Callable[[Random], Loss]) -> Injection:
    """What each receiver misses."""

    def begin(pair: Pair, rng: Random) -> None:
        pair.whole.far_end.radio.air.loss = loss(Random(rng.random()))

    def end(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.radio.air.loss = no_loss

    return Injection(name, begin, end)


def deaf_slave(slot: int = 0) -> Injection:
    """One slave hears no broadcast; what is sent to it alone arrives, at the second try."""

    def loss(_rng: Random) -> Loss:
        missed = {"last_s": -1.0}

        def misses(address: int, at_s: float) -> bool:
            again, missed["last_s"] = missed["last_s"] == at_s, at_s
            return address == 0x1000 + slot and not again

        return misses

    return lossy("one slave misses every broadcast", loss)


def bursts() -> Injection:
    """Wi-Fi on the same channel: half of the time everybody misses four of five frames."""
    return lossy(
        "bursts of interference",
        lambda rng: BurstLoss(rng, good_s=5.0, bad_s=5.0, good_loss=0.1, bad_loss=0.8),
    )


def reordered() -> Injection:
    """Each receiver acts on each broadcast 0 to 8 s after it was sent."""
    kept: dict[int, Any] = {}

    def begin(pair: Pair, rng: Random) -> None:
        medium = pair.whole.far_end.radio.air
        kept[id(pair)] = medium.broadcast_delay
        own_rng = Random(rng.random())
        medium.broadcast_delay = lambda receivers: [own_rng.uniform(0.0, 8.0) for _ in range(receivers)]

    def end(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.radio.air.broadcast_delay = kept.pop(id(pair))

    return Injection("frames overtake each other", begin, end)


def replayed() -> Injection:
    """A stranger records a setpoint frame and sends it again each second, past the network layer."""
    recorded: list[ApsFrame] = []
    state = {"on": False}

    def tap(frame: ApsFrame, _at_s: float) -> None:
        if frame.cluster == CLUSTER and frame.delivery is Delivery.BROADCAST and not recorded:
            recorded.append(frame)

    def send(far_end: SimulatedSite) -> None:
        if not state["on"]:
            return
        for frame in recorded:
            for node in far_end.radio.nodes.values():
                node.receive(replace(frame, nwk_counter=None))
        far_end.radio.air.later(1.0, send, far_end)

    def begin(pair: Pair, _rng: Random) -> None:
        recorded.clear()
        state["on"] = True
        pair.whole.far_end.radio.air.taps.append(tap)
        send(pair.whole.far_end)

    def end(pair: Pair, _rng: Random) -> None:
        state["on"] = False
        pair.whole.far_end.radio.air.taps.remove(tap)

    return Injection("a recorded frame is sent again each second", begin, end)


def reports_lost() -> Injection:
    """No report of a slave arrives."""
    kept: dict[int, Any] = {}

    def begin(pair: Pair, _rng: Random) -> None:
        medium = pair.whole.far_end.radio.air
        kept[id(pair)], medium.to_coordinator = medium.to_coordinator, lambda _node, _frame: None

    def end(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.radio.air.to_coordinator = kept.pop(id(pair))

    return Injection("no report arrives", begin, end)


def partly_loaded(pair: Pair) -> list[int]:
    """Slots of slaves that follow a setpoint in the middle of their range.

    One that is told everything that it can draw does so, stuck or too strong.
    """
    return [
        slot for slot, power_w in pair.whole.reference_w().items() if PARTLY_W[0] <= power_w <= PARTLY_W[1]
    ]


def slave(
    name: str,
    attribute: str,
    wrong: Callable[[Pair, int], object],
    right: object,
    among: Callable[[Pair], list[int]] = lambda pair: list(pair.whole.reference_w()),
) -> Injection:
    """A fault of one slave's firmware: of `among` the one that draws most."""
    chosen: dict[int, int] = {}

    def begin(pair: Pair, _rng: Random) -> None:
        powers_w = pair.whole.reference_w()
        chosen[id(pair)] = slot = max(among(pair) or powers_w, key=lambda at: powers_w[at])
        setattr(pair.whole.far_end.radio.firmwares[slot].faults, attribute, wrong(pair, slot))

    def end(pair: Pair, _rng: Random) -> None:
        setattr(pair.whole.far_end.radio.firmwares[chosen.pop(id(pair))].faults, attribute, right)

    return Injection(name, begin, end)


def slave_offline(slot: int = 0) -> Injection:
    """One slave has no power."""

    def begin(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.radio.nodes[slot].online = False
        pair.whole.far_end.radio.firmwares[slot].restart()

    def end(pair: Pair, _rng: Random) -> None:
        pair.whole.far_end.radio.nodes[slot].online = True

    return Injection("one slave loses its power", begin, end)


def slave_restarts(slot: int = 0) -> Injection:
    """One slave starts anew, at 0 W."""
    return Injection("one slave restarts", lambda pair, _: pair.whole.far_end.radio.firmwares[slot].restart())
