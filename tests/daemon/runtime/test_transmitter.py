"""What is on air after a send, also when only the first of several frames was accepted."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

import pytest

from core.authorization import AuthorizedFrame, Decoded
from core.decision import Authority, Decision
from core.parts import initial_memory
from core.site import Site
from core.snapshot import OnAirState, SlaveState, Snapshot
from core.tick import decide
from daemon.runtime.assembly import assemble
from daemon.runtime.transmitter import Transmitter
from drivers.devices.device_setpoint import DeviceSetpoint
from drivers.errors import Transient, Unconfirmed
from drivers.ports import SlaveStatus
from drivers.zigbee.frame_counter import COUNTER_MAX, FrameCounter
from drivers.zigbee.setpoint_broadcast import SetpointBroadcast
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


def broadcast(
    site: Site, radio: FakeRadio, folder: Path, clock: Callable[[], float] = lambda: 100.0
) -> SetpointBroadcast:
    slots = tuple(slave.slot for slave in site.slaves if slave.driver == "sunkeep")
    counter = FrameCounter.create(folder / "counter")
    return SetpointBroadcast(radio, counter, KEY, 15, slots, clock)


def transmitter(site: Site, radio: FakeRadio, folder: Path) -> Transmitter:
    return Transmitter(site, SafetyGate(site), (broadcast(site, radio, folder),))


def of(sender: Transmitter) -> SetpointBroadcast:
    (wire,) = sender.wires
    assert isinstance(wire, SetpointBroadcast)
    return wire


async def test_what_was_accepted_is_on_air_when_the_second_frame_is_refused(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(36, 400))
    radio = FakeRadio(accepts=1)
    sender = transmitter(site, radio, tmp_path)
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
    sender = transmitter(site, radio, tmp_path)
    decision, snapshot = first_decision(site, sender.on_air(100.0))
    await sender.emit(decision, snapshot, lambda: 100.0)
    radio.accepts = 99
    decision, snapshot = first_decision(site, sender.on_air(102.0))
    await sender.emit(decision, snapshot, lambda: 102.0)
    assert [decode(payload, KEY, NETWORK).base for payload in radio.sent] == [0, 30, 0]
    assert [decode(payload, KEY, NETWORK).counter for payload in radio.sent] == [1, 3, 4]
    assert of(sender).last_counters == {30: 3, 0: 4}


@pytest.mark.parametrize(("error", "tried"), [(Transient("busy"), 2), (Unconfirmed("late"), 1)])
async def test_setpoints_wait_once_the_radio_did_not_answer(
    tmp_path: Path, error: Transient, tried: int
) -> None:
    site = Site(slaves=slaves_of(36, 400))
    sender = transmitter(site, FakeRadio(0, error), tmp_path)
    decision, snapshot = first_decision(site, sender.on_air(100.0))
    assert (await sender.emit(decision, snapshot, lambda: 100.0)).accepted is False
    assert sender.refused_total == tried


@pytest.mark.parametrize("error", [Transient("busy"), Unconfirmed("late")])
async def test_rest_is_told_to_every_group_whatever_became_of_the_others(
    tmp_path: Path, error: Transient
) -> None:
    site = Site(slaves=slaves_of(36, 400))
    parts = assemble(site, PiFallback(site), None).parts
    sender = transmitter(site, FakeRadio(0, error), tmp_path)
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
        sender = transmitter(site, FakeRadio(0, error), tmp_path / str(doubts))
        assert (await sender.emit(decision, snapshot, lambda: 100.0)).accepted is False
        assert sender.refused_total == 1
        air = sender.on_air(100.5)
        assert len(air.doubts) == doubts
        assert air.setpoints_w == (decision.setpoints_w if doubts else (0,) * 3)


async def test_after_the_time_to_live_nothing_is_on_air(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    sender = transmitter(site, FakeRadio(), tmp_path)
    assert (await sender.emit(decision, snapshot, lambda: 100.0)).accepted
    assert sender.on_air(115.0).setpoints_w == decision.setpoints_w
    assert set(sender.on_air(115.1).setpoints_w) == {0}


async def test_counters_go_on_behind_what_a_slave_has_accepted(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    radio = FakeRadio(unknown={0: 777_000})
    sender = transmitter(site, radio, tmp_path)
    await sender.emit(decision, snapshot, lambda: 100.0)
    assert decode(radio.sent[0], KEY, NETWORK).counter == 777_001
    assert of(sender).refused_leaps == {}


async def test_a_leap_to_the_end_is_refused_and_hides_no_true_word_of_another_slave(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    radio = FakeRadio(unknown={0: COUNTER_MAX, 1: 777_000})
    sender = transmitter(site, radio, tmp_path)
    await sender.emit(decision, snapshot, lambda: 100.0)
    assert decode(radio.sent[0], KEY, NETWORK).counter == 777_001
    assert of(sender).refused_leaps == {0: COUNTER_MAX}


async def test_without_a_counter_nothing_is_sent_and_a_cause_is_raised(tmp_path: Path) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    radio = FakeRadio()
    sender = transmitter(site, radio, tmp_path)
    (tmp_path / "counter").unlink()
    sent = await sender.emit(decision, snapshot, lambda: 100.0)
    assert (sent.alarm, sent.accepted, radio.sent) == ("no_frame_counter", None, [])


@pytest.mark.parametrize("down", [{"up": False}, {"network_id": None}])
async def test_a_radio_that_is_down_gets_nothing(tmp_path: Path, down: dict[str, None]) -> None:
    site = Site(slaves=slaves_of(3))
    decision, snapshot = first_decision(site)
    radio = FakeRadio(**down)  # type: ignore[arg-type]
    sent = await transmitter(site, radio, tmp_path).emit(decision, snapshot, lambda: 100.0)
    assert (sent.accepted, radio.sent) == (None, [])


@dataclass(eq=False)
class OneDevice:
    """A wire to one device, which answers as it likes."""

    slot: int
    takes_s: float = 0.0
    error: Transient | None = None
    up: bool = True
    told: list[AuthorizedFrame] = field(default_factory=list)
    late: list[tuple[Decoded, float]] = field(default_factory=list)

    @property
    def slots(self) -> tuple[int, ...]:
        return (self.slot,)

    def ttl_s(self, slot: int) -> float:
        return 20.0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def encode(self, setpoints_w: Mapping[int, int], *, rest: bool) -> bytes:
        return DeviceSetpoint(self.slot, setpoints_w[self.slot], rest).to_bytes()

    def decode(self, payload: bytes) -> Decoded:
        return DeviceSetpoint.from_bytes(payload)

    async def send(self, message: AuthorizedFrame) -> None:
        await asyncio.sleep(self.takes_s)
        if self.error is not None:
            raise self.error
        self.told.append(message)

    def settled(self) -> list[tuple[Decoded, float]]:
        late, self.late = self.late, []
        return late

    def reports(self) -> dict[int, SlaveStatus]:
        return {}

    def resting(self) -> bool:
        return bool(self.told) and self.told[-1].safe_release


def mixed() -> Site:
    """Three slaves of the broadcast and two devices."""
    slaves = [replace(slave, driver="modbus") if slave.slot >= 3 else slave for slave in slaves_of(5, 400)]
    return Site(slaves=tuple(slaves))


def several(folder: Path, radio: FakeRadio, *devices: OneDevice) -> Transmitter:
    site = mixed()
    return Transmitter(site, SafetyGate(site), (broadcast(site, radio, folder), *devices))


async def test_every_group_is_told_by_its_own_wire(tmp_path: Path) -> None:
    radio, one, other = FakeRadio(), OneDevice(3), OneDevice(4)
    sender = several(tmp_path, radio, one, other)
    decision, snapshot = first_decision(mixed(), sender.on_air(100.0))
    assert min(decision.setpoints_w) > 0
    sent = await sender.emit(decision, snapshot, lambda: 100.0)
    assert sent.accepted
    assert len(sent.frames) == 3
    assert decode(radio.sent[0], KEY, NETWORK).setpoints_w == decision.setpoints_w[:3]
    assert [message.said.setpoints_w for message in one.told + other.told] == [
        decision.setpoints_w[3:4],
        decision.setpoints_w[4:],
    ]
    air = sender.on_air(116.0)  # the frame has lived its 15 s, the devices have 20
    assert air.setpoints_w == (0, 0, 0, *decision.setpoints_w[3:])
    assert air.still_s == pytest.approx(1.0)


async def test_a_slow_wire_delays_no_other(tmp_path: Path) -> None:
    radio, slow, quick = FakeRadio(), OneDevice(3, takes_s=0.2), OneDevice(4)
    sender = several(tmp_path, radio, slow, quick)
    decision, snapshot = first_decision(mixed(), sender.on_air(100.0))
    sending = asyncio.create_task(sender.emit(decision, snapshot, lambda: 100.0))
    for _ in range(8):
        await asyncio.sleep(0.0)
    assert (len(radio.sent), len(quick.told), len(slow.told)) == (1, 1, 0)
    await sending
    assert len(slow.told) == 1


@pytest.mark.parametrize("rest", [False, True])
async def test_what_one_wire_does_keeps_nothing_from_the_others(tmp_path: Path, rest: bool) -> None:
    refused, silent, gone = Transient("busy"), Unconfirmed("late"), FakeRadio(up=False)
    for radio, first, second in (
        (FakeRadio(0, refused), OneDevice(3, error=silent), OneDevice(4)),
        (gone, OneDevice(3, up=False), OneDevice(4)),
    ):
        folder = tmp_path / first.up.__repr__()
        folder.mkdir()
        sender = several(folder, radio, first, second)
        decision, snapshot = first_decision(mixed(), sender.on_air(100.0))
        if rest:
            parts = assemble(mixed(), PiFallback(mixed()), None).parts
            decision, _ = decide(snapshot, Authority.REST, initial_memory(parts), parts)
        sent = await sender.emit(decision, snapshot, lambda: 100.0)
        assert sent.accepted is (not first.up)  # what is down was given nothing
        assert [message.safe_release for message in second.told] == [rest]
        likely = sender.on_air(100.0).setpoints_w
        assert likely[:3] == (0, 0, 0)
        assert likely[4] == decision.setpoints_w[4]


async def test_without_a_counter_the_devices_are_told_to_rest(tmp_path: Path) -> None:
    radio, one, other = FakeRadio(), OneDevice(3), OneDevice(4)
    sender = several(tmp_path, radio, one, other)
    (tmp_path / "counter").unlink()
    _, snapshot = first_decision(mixed(), sender.on_air(100.0))
    parts = assemble(mixed(), PiFallback(mixed()), None).parts
    decision, _ = decide(snapshot, Authority.REST, initial_memory(parts), parts)
    sent = await sender.emit(decision, snapshot, lambda: 100.0)
    assert (sent.alarm, radio.sent) == ("no_frame_counter", [])
    assert one.resting()
    assert other.resting()


async def test_a_message_that_is_confirmed_later_is_on_air_from_then_on(tmp_path: Path) -> None:
    radio, slow = FakeRadio(), OneDevice(3, error=Unconfirmed("not yet"))
    sender = several(tmp_path, radio, slow, OneDevice(4))
    decision, snapshot = first_decision(mixed(), sender.on_air(100.0))
    await sender.emit(decision, snapshot, lambda: 100.0)
    group = sender.on_air(100.4).groups[1]
    assert group.unconfirmed
    assert (min(group.low_w), max(group.high_w)) == (0.0, decision.setpoints_w[3])
    slow.late = [(DeviceSetpoint(3, decision.setpoints_w[3], False), 100.5)]
    group = sender.on_air(101.0).groups[1]
    assert not group.unconfirmed
    assert group.age_s == 0.5
    assert group.low_w == group.high_w
