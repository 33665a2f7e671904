"""What is on air after a send, also when only the first of several frames was accepted."""

from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

import pytest

from core.authorization import AuthorizedFrame
from core.decision import Authority, Decision
from core.parts import initial_memory
from core.site import Site
from core.snapshot import OnAirState, SlaveState, Snapshot
from core.tick import decide
from daemon.runtime.assembly import assemble
from daemon.runtime.transmitter import Transmitter
from drivers.errors import Transient, Unconfirmed
from drivers.ports import SlaveStatus
from drivers.zigbee.frame_counter import COUNTER_MAX, FrameCounter
from drivers.zigbee.setpoint_frame import decode
from plant.simulated_site import slaves_of
from safety.gate import SafetyGate
from safety.pi import PiFallback
from safety.supervisor import ModeSupervisor

KEY = bytes(range(32))
NETWORK = bytes(range(8))


@dataclass
class FakeRadio:
    """The door, with a coordinator that accepts only so many frames."""

    accepts: int = 99
    error: Transient = field(default_factory=lambda: Transient("busy", "busy"))
    up: bool = True
    network_id: bytes | None = NETWORK
    sent: list[bytes] = field(default_factory=list)
    heard: dict[int, SlaveStatus] = field(default_factory=dict)
    unknown: dict[int, int] = field(default_factory=dict)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, frame: AuthorizedFrame) -> None:
        if len(self.sent) >= self.accepts:
            raise self.error
        self.sent.append(frame.payload)

    def reports(self) -> dict[int, SlaveStatus]:
        return self.heard

    def unknown_counters(self) -> dict[int, int]:
        return self.unknown


def first_decision(site: Site, air: OnAirState | None = None) -> tuple[Decision, Snapshot]:
    """A first action of the fallback, into a surplus on every phase."""
    parts = assemble(site, PiFallback(site), None).parts
    slaves = (SlaveState(report_age_s=0.0),) * len(site.slaves)
    snapshot = Snapshot(0, 100.0, (-3000.0,) * 3, 0.0, slaves, air or OnAirState())
    memory = replace(initial_memory(parts), watch=ModeSupervisor().warm)
    return decide(snapshot, Authority.FALLBACK, memory, parts)[0], snapshot


def emitter(site: Site, radio: FakeRadio, folder: Path) -> Transmitter:
    return Transmitter(site, SafetyGate(site), radio, FrameCounter.create(folder / "counter"), KEY, ttl_s=15)


async def test_what_was_accepted_is_on_air_when_the_second_frame_is_refused(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(36, 400))
    radio = FakeRadio(accepts=1)
    sender = emitter(site, radio, tmp_path)
    decision, snapshot = first_decision(site, sender.on_air(100.0))
    assert min(decision.setpoints_w) > 0
    sent = await sender.emit(decision, snapshot, lambda: 100.0)
    assert sent.accepted is False
    first = decode(radio.sent[0], KEY, NETWORK)
    assert len(first.setpoints_w) == 30
    air = sender.on_air(100.5)
    assert air.setpoints_w == (*decision.setpoints_w[:30], *(0,) * 6)
    assert sum(air.action_w) == sum(decision.setpoints_w[:30])
    assert [group.age_s for group in air.groups] == [0.5, inf]  # each renews its own age only


async def test_who_has_waited_longest_is_told_first(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(36, 400))
    radio = FakeRadio(accepts=1)
    sender = emitter(site, radio, tmp_path)
    decision, snapshot = first_decision(site, sender.on_air(100.0))
    await sender.emit(decision, snapshot, lambda: 100.0)
    radio.accepts = 99
    decision, snapshot = first_decision(site, sender.on_air(102.0))
    await sender.emit(decision, snapshot, lambda: 102.0)
    assert [decode(payload, KEY, NETWORK).base for payload in radio.sent] == [0, 30, 0]
    assert [decode(payload, KEY, NETWORK).counter for payload in radio.sent] == [1, 3, 4]
    assert sender.last_counter == 3


@pytest.mark.parametrize(("error", "tried"), [(Transient("busy"), 2), (Unconfirmed("late"), 1)])
async def test_setpoints_wait_once_the_radio_did_not_answer(
    tmp_path: Path, error: Transient, tried: int
) -> None:
    site = Site(slaves=slaves_of(36, 400))
    sender = emitter(site, FakeRadio(0, error), tmp_path)
    decision, snapshot = first_decision(site, sender.on_air(100.0))
    assert (await sender.emit(decision, snapshot, lambda: 100.0)).accepted is False
    assert sender.refused_total == tried


@pytest.mark.parametrize("error", [Transient("busy"), Unconfirmed("late")])
async def test_rest_is_told_to_every_group_whatever_became_of_the_others(
    tmp_path: Path, error: Transient
) -> None:
    site = Site(slaves=slaves_of(36, 400))
    parts = assemble(site, PiFallback(site), None).parts
    sender = emitter(site, FakeRadio(0, error), tmp_path)
    slaves = (SlaveState(report_age_s=0.0),) * len(site.slaves)
    snapshot = Snapshot(0, 100.0, (-3000.0,) * 3, 0.0, slaves, sender.on_air(100.0))
    decision, _ = decide(snapshot, Authority.REST, initial_memory(parts), parts)
    assert (await sender.emit(decision, snapshot, lambda: 100.0)).accepted is False
    assert sender.refused_total == 2


async def test_a_frame_that_nobody_confirmed_may_be_on_air(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    for error, doubts in ((Transient("busy"), 0), (Unconfirmed("late"), 1)):
        (tmp_path / str(doubts)).mkdir()
        sender = emitter(site, FakeRadio(0, error), tmp_path / str(doubts))
        assert (await sender.emit(decision, snapshot, lambda: 100.0)).accepted is False
        assert sender.refused_total == 1
        air = sender.on_air(100.5)
        assert len(air.doubts) == doubts
        assert air.setpoints_w == (decision.setpoints_w if doubts else (0,) * 3)


async def test_after_the_time_to_live_nothing_is_on_air(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    sender = emitter(site, FakeRadio(), tmp_path)
    assert (await sender.emit(decision, snapshot, lambda: 100.0)).accepted
    assert sender.on_air(115.0).setpoints_w == decision.setpoints_w
    assert set(sender.on_air(115.1).setpoints_w) == {0}


async def test_counters_go_on_behind_what_a_slave_has_accepted(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    radio = FakeRadio(unknown={0: 777_000})
    sender = emitter(site, radio, tmp_path)
    await sender.emit(decision, snapshot, lambda: 100.0)
    assert decode(radio.sent[0], KEY, NETWORK).counter == 777_001
    assert sender.refused_leaps == {}


async def test_a_leap_to_the_end_is_refused_and_hides_no_true_word_of_another_slave(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    radio = FakeRadio(unknown={0: COUNTER_MAX, 1: 777_000})
    sender = emitter(site, radio, tmp_path)
    await sender.emit(decision, snapshot, lambda: 100.0)
    assert decode(radio.sent[0], KEY, NETWORK).counter == 777_001
    assert sender.refused_leaps == {0: COUNTER_MAX}


async def test_without_a_counter_nothing_is_sent_and_a_cause_is_raised(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    radio = FakeRadio()
    sender = emitter(site, radio, tmp_path)
    (tmp_path / "counter").unlink()
    sent = await sender.emit(decision, snapshot, lambda: 100.0)
    assert (sent.alarm, sent.accepted, radio.sent) == ("no_frame_counter", None, [])


@pytest.mark.parametrize("down", [{"up": False}, {"network_id": None}])
async def test_a_radio_that_is_down_gets_nothing(tmp_path: Path, down: dict[str, None]) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    radio = FakeRadio(**down)  # type: ignore[arg-type]
    sent = await emitter(site, radio, tmp_path).emit(decision, snapshot, lambda: 100.0)
    assert (sent.accepted, radio.sent) == (None, [])
