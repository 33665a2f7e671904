"""The radio: keeps a coordinator up, broadcasts cleared frames, collects what the slaves report.

zigpy never reconnects. Every loss ends a `Coordinator`, and a supervisor starts a new one after a pause
that doubles from 0.2 to 5 s. A frame that was not accepted is never repeated: it is stale by then.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Literal

from zigpy.exceptions import DeliveryError

from core.authorization import AuthorizedFrame
from core.causes import Cause
from drivers.errors import ConfigError, Transient, Unconfirmed, reason
from drivers.ports import SlaveStatus
from drivers.zigbee.coordinator import Coordinator, NetworkInfo
from drivers.zigbee.link_quality import LinkQuality
from drivers.zigbee.radio_health import RadioHealth
from drivers.zigbee.radio_statistics import RadioCounts, RadioEvent
from drivers.zigbee.setpoint_frame import wrap
from drivers.zigbee.settings import ZigbeeSettings
from drivers.zigbee.slaves import Slaves

SEND_DEADLINE_S = 0.4
"""Acceptance takes 2 ms on an idle coordinator; within a tick of 1 s there is no time for more."""
TIMEOUTS_UNTIL_LOST = 2
PAUSE_MIN_S = 0.2
PAUSE_MAX_S = 5.0
PAUSE_JITTER = 0.2
STEADY_AFTER_S = 30.0
"""Up for this long, the next loss starts again with the shortest pause. Every start costs a broadcast."""
REPAIR_EVERY_S = 0.5
NOBODY_ANSWERS = "no slave has answered for a long time: perhaps it accepts frames and transmits none"
STOPPED = "stopped"
"""Text of the event when the radio goes down because it was told to."""


class ZigbeeRadio:
    """Satisfies `drivers.ports.Radio`."""

    def __init__(
        self,
        settings: ZigbeeSettings,
        *,
        key: bytes,
        on_event: Callable[[RadioEvent], None],
        clock: Callable[[], float],
        rng: Random,
    ) -> None:
        """Nothing happens before `start`.

        Args:
            key: site key, 32 bytes.
            on_event: told about every change, from the event loop; must not block or raise.
            clock: monotonic seconds.
            rng: spreads the pauses between two tries to connect.
        """
        self._settings = settings
        self._on_event = on_event
        self._clock = clock
        self._rng = rng
        self._slaves = Slaves(settings.slots, key)
        self._health = RadioHealth()
        self._app: Coordinator | None = None
        self._network: NetworkInfo | None = None
        self._problem: str | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._statistics = RadioCounts()
        self._timeouts_in_a_row = 0
        self._repairing = asyncio.Lock()

    async def start(self) -> None:
        """Begin to keep the radio up, in the background. A second call changes nothing."""
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name="zigbee supervisor")

    async def stop(self) -> None:
        """Let go of the coordinator. Leaves no task, thread or open port behind."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)

    @property
    def up(self) -> bool:
        """A coordinator runs its network and has given a sign of life in the last seconds."""
        return self._app is not None and not self._app.lost.is_set()

    @property
    def network_id(self) -> bytes | None:
        """Extended PAN id as it goes over the air; None until the radio was up."""
        return None if self._network is None else self._network.network_id

    @property
    def session(self) -> Coordinator | None:
        """The coordinator while it is up, for questions to single devices."""
        return self._app if self.up else None

    @property
    def quality(self) -> LinkQuality:
        """Acknowledgement rate, loss, delay: what the reports say about the links."""
        return self._slaves.quality

    @property
    def network(self) -> NetworkInfo | None:
        """The network that is or was up."""
        return self._network

    @property
    def problem(self) -> str | None:
        """Why the radio is not up, in words that say what to do; None while it is up or starts up."""
        if self._app is not None and self._app.lost.is_set():
            return _lost(self._app.lost_reason)
        return self._problem

    @property
    def remark(self) -> str:
        """What about the network contradicts the configuration without stopping it, and what to do."""
        if self._network is None or self._network.channel == self._settings.channel:
            return ""
        return (
            f"the network is on channel {self._network.channel}, the configuration says "
            f"{self._settings.channel}: a formed network stays where it is. Write the channel it has"
        )

    @property
    def statistics(self) -> RadioCounts:
        """What was counted so far."""
        if self._app is None:
            return self._statistics
        counts, counted = self._app.counts, self._statistics
        return replace(
            counted,
            foreign_frames=counted.foreign_frames + counts.foreign,
            packets_withheld=counted.packets_withheld + counts.withheld,
            setpoint_broadcasts=counted.setpoint_broadcasts + counts.setpoint_broadcasts,
            other_broadcasts=counted.other_broadcasts + counts.other_broadcasts,
            broadcast_table_full=self._app.broadcast_table_full,
        )

    @property
    def addresses(self) -> dict[int, int]:
        """Network address of every slot heard so far."""
        return dict(self._slaves.addresses)

    def causes(self) -> tuple[Cause, ...]:
        """Causes of `safety.faults` that the radio shows now, beside being down."""
        return self._health.causes(self._clock())

    def reports(self) -> dict[int, SlaveStatus]:
        """Newest report of every slot heard so far."""
        return dict(self._slaves.reports)

    def unknown_counters(self) -> dict[int, int]:
        """By slot: the counter of an authentic report that answers no frame of this radio."""
        return dict(self._slaves.unknown_counters)

    async def send(self, frame: AuthorizedFrame) -> None:
        """Broadcast one frame, once. Returns when the coordinator accepted it, within 0.4 s.

        Raises:
            Unconfirmed: nobody said whether it was accepted (late, a dying connection).
            Transient: it was not accepted (busy, down).
        """
        app = self._app
        if app is None or app.lost.is_set():
            self._count(frames_unsent=1)
            raise Transient(f"the radio is down: {self.problem or 'not started yet'}")
        sequence = app.get_sequence()
        self._slaves.offered(frame, self._clock())
        try:
            async with asyncio.timeout(SEND_DEADLINE_S):
                await app.broadcast_setpoints(wrap(frame.payload, sequence), sequence)
        except TimeoutError:
            self._late(app)
            raise Unconfirmed(f"the coordinator did not answer within {SEND_DEADLINE_S} s") from None
        except DeliveryError as error:
            self._timeouts_in_a_row = 0
            self._count(frames_refused=1)
            self._health.frame(self._clock(), accepted=False)
            raise Transient(f"the coordinator refused the frame: {_status(error)}") from error
        except Exception as error:  # a dying bellows raises AttributeError, TypeError and others
            self._count(frames_unsent=1)
            raise Unconfirmed(f"the frame was perhaps not sent: {type(error).__name__}") from error
        self._timeouts_in_a_row = 0
        self._count(frames_sent=1)
        self._health.frame(self._clock(), accepted=True)
        self._slaves.record_sent(frame, self._clock())

    async def repair(self, slot: int, frame: AuthorizedFrame) -> None:
        """Send one frame to one slave again, acknowledged. One repair at a time.

        The slave accepts it only if it missed the broadcast: the counter is the same.

        Raises:
            Transient: the radio is down, the slave was never heard, or it did not acknowledge.
        """
        async with self._repairing:
            app, address = self._app, self._slaves.addresses.get(slot)
            if app is None or address is None:
                raise Transient(f"slot {slot} cannot be reached: no address or no radio")
            self._count(repairs=1)
            sequence = app.get_sequence()
            try:
                await app.unicast_setpoints(address, wrap(frame.payload, sequence), sequence)
            except Exception as error:  # as in `send`
                self._count(repairs_failed=1)
                raise Transient(f"slot {slot} did not acknowledge: {type(error).__name__}") from error

    # --- keeping it up -------------------------------------------------------------------------

    async def _supervise(self) -> None:
        pause_s = 0.0
        while True:
            begun_s = self._clock()
            try:
                await self._live()
            except ConfigError as error:
                self._report_problem(str(error))
            except Exception as error:  # noqa: BLE001  # zigpy raises whatever the system and the wire give
                self._report_problem(
                    f"the coordinator at {self._settings.path} failed ({reason(error)}): check the path and "
                    "the cable, and that no other program uses it"
                )
            pause_s = next_pause_s(pause_s, self._clock() - begun_s)
            await asyncio.sleep(pause_s * self._rng.uniform(1 - PAUSE_JITTER, 1 + PAUSE_JITTER))

    async def _live(self) -> None:
        """One life of a coordinator, from start to loss. Raises when it does not start."""
        self._count(starts=1)
        app = await Coordinator.start(self._settings)
        reason = STOPPED
        repairs = asyncio.create_task(self._repair_links(app), name="zigbee repairs")
        try:
            self._came_up(app)
            reason = await app.watch()
        finally:
            self._went_down(reason)
            repairs.cancel()
            await app.close()

    def _came_up(self, app: Coordinator) -> None:
        app.on_report = self._heard
        self._network = app.network
        self._problem = None
        self._timeouts_in_a_row = 0
        self._statistics = replace(self._statistics, up_since_s=self._clock())
        self._app = app
        self._health.came_up(self._clock())
        self._tell("up", f"channel {app.network.channel}, PAN id 0x{app.network.pan_id:04x}")
        if self.remark:
            self._tell("problem", self.remark)

    def _went_down(self, reason: str) -> None:
        counted = replace(self.statistics, broadcast_table_full=None)  # those of this life included
        self._app = None
        self._problem = _lost(reason)
        self._statistics = replace(counted, up_since_s=None, losses=counted.losses + 1)
        self._slaves.radio_lost()
        self._health.went_down()
        self._tell("down", reason)

    def _report_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._tell("problem", problem)
        self._problem = problem

    def _late(self, app: Coordinator) -> None:
        self._count(timeouts=1)
        self._timeouts_in_a_row += 1
        if self._timeouts_in_a_row >= TIMEOUTS_UNTIL_LOST:
            app.declare_lost(f"{TIMEOUTS_UNTIL_LOST} frames in a row were not answered")

    def _heard(self, address: int, zcl: bytes) -> bool:
        """One frame of the setpoint cluster arrived. What is not a sound report only counts."""
        network_id, now_s = self.network_id, self._clock()
        sound = network_id is not None and self._slaves.record_report(address, zcl, network_id, now_s)
        if sound:
            self._health.report(now_s)
        self._count(**{"reports_heard" if sound else "reports_rejected": 1})
        return sound

    async def _repair_links(self, app: Coordinator) -> None:
        """Repair slaves that miss frames, one after the other, as long as this life lasts.

        Where nobody at all answers, it is perhaps the coordinator: it is started anew.
        """
        while True:
            await asyncio.sleep(REPAIR_EVERY_S)
            if self._health.rebuild_due(self._clock()):
                app.declare_lost(NOBODY_ANSWERS)
                return
            for slot, frame in tuple(self._slaves.repairs(self._clock())):
                self.quality.repair_sent(slot, self._clock())
                with contextlib.suppress(Transient):
                    await self.repair(slot, frame)

    def _count(self, **increments: int) -> None:
        counted = {name: getattr(self._statistics, name) + more for name, more in increments.items()}
        self._statistics = replace(self._statistics, **counted)

    def _tell(self, kind: Literal["up", "down", "problem"], text: str) -> None:
        self._on_event(RadioEvent(kind, text, self._clock()))


def next_pause_s(last_pause_s: float, lived_s: float) -> float:
    """How long to wait before the next start, before it is spread by chance.

    Args:
        last_pause_s: the pause before the life that just ended, 0 for the first.
        lived_s: how long that life lasted, from its first try to connect.
    """
    if lived_s > STEADY_AFTER_S:
        return PAUSE_MIN_S
    return min(max(2 * last_pause_s, PAUSE_MIN_S), PAUSE_MAX_S)


def _lost(reason: str) -> str:
    return f"the coordinator was lost: {reason}"


def _status(error: DeliveryError) -> str:
    name = getattr(error.status, "name", None)
    return str(name or error.status)
