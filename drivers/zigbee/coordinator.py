"""One session with the coordinator: a bellows application from start-up to its loss, never reused."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import bellows.types
import zigpy.exceptions
import zigpy.types
from bellows.zigbee.application import ControllerApplication
from zigpy.config import CONF_DATABASE

from drivers.errors import ConfigError
from drivers.redaction import guard_logs
from drivers.zigbee.packet_filter import FilteredApplication
from drivers.zigbee.setpoint_frame import CLUSTER, ENDPOINT, PROFILE
from drivers.zigbee.settings import ZigbeeSettings, protect, stack_config

START_TIMEOUT_S = 20.0
"""bellows gives up on a silent coordinator after 13.5 s by itself."""
CLOSE_TIMEOUT_S = 5.0
HEARTBEAT_S = 1.0
HEARTBEAT_TIMEOUT_S = 0.8
HEARTBEAT_MISSES = 2
"""A hang is noticed at most 1.0 + 1.0 + 0.8 s after the last answer."""
SEEN_EVERY_S = 60.0
CLOSE_TRIES = 6
CLOSE_AGAIN_S = 2.0
"""Tries for longer than a broadcast stays in a full table (9 s); until then routers would stay open."""
UNICAST_TIMEOUT_S = 4.0
"""bellows waits 3 s for the acknowledgement of a mains-powered device."""

NO_NETWORK = "no network on this coordinator: run `sunkeep zigbee form`"
CANNOT_TAKE_OVER = (
    "this coordinator cannot take over the address of the old one, which every slave knows: update its "
    "firmware (EmberZNet 7.4 or newer can), or use another stick"
)
OTHER_NETWORK = (
    "the coordinator holds another network than the database remembers: plug in the right one, restore a "
    "backup onto it, or move the database away"
)


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """The network of a coordinator, without its keys. `network_id` as in `drivers.zigbee.setpoint_frame`."""

    network_id: bytes
    pan_id: int
    channel: int


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A device that asked to join: its IEEE address, its network address and that of the router it asked."""

    ieee: str
    address: int
    parent: int
    refused: bool


class Coordinator(FilteredApplication):
    """The application of bellows that takes the slaves' reports itself and notices its own end."""

    on_join: Callable[[JoinRequest], None]
    """Called when a device asks the trust center to join."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.on_join = lambda newcomer: None
        self.lost = asyncio.Event()
        self.lost_reason = ""

    @classmethod
    async def start(
        cls,
        settings: ZigbeeSettings,
        *,
        auto_form: bool = False,
        before: Callable[[Self], None] | None = None,
    ) -> Self:
        """Connect and resume the network.

        Args:
            auto_form: give a blank coordinator a network: the newest backup that it knows, else a new one.
            before: called once the database is loaded and nothing is connected yet.

        Raises:
            ConfigError: no network, the wrong network, no such device: the message says what to do.
            Exception: anything else that zigpy, bellows and the operating system come up with.
        """
        guard_logs()
        protect(settings.database)
        # The two steps matter: `new` with start_radio leaks the database's thread when the start fails.
        opening: asyncio.Task[Self] = asyncio.create_task(cls.new(stack_config(settings), start_radio=False))
        try:
            app = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await (await opening).close()
            raise
        problem = ""
        try:
            if before is not None:
                before(app)
            async with asyncio.timeout(START_TIMEOUT_S):
                await app.startup(auto_form=auto_form)
        except zigpy.exceptions.NetworkNotFormed:
            problem = NO_NETWORK
        except zigpy.exceptions.NetworkSettingsInconsistent:
            problem = OTHER_NETWORK  # the text of the exception holds both network keys
        except (
            zigpy.exceptions.CannotWriteNetworkSettings,
            zigpy.exceptions.DestructiveWriteNetworkSettings,
        ):
            problem = CANNOT_TAKE_OVER
        except FileNotFoundError:
            problem = f"{settings.path} does not exist: is the coordinator plugged in?"
        except PermissionError as error:
            problem = f"{settings.path} may not be opened ({error.strerror or error}): is it in use?"
        except BaseException:
            await app.close()
            raise
        if problem:
            await app.close()
            raise ConfigError(problem)
        return app

    async def close(self) -> None:
        """Release the port, the database and every task, also when cancelled meanwhile."""
        closing = asyncio.create_task(self._close(), name="zigbee close")
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing
            raise

    async def _close(self) -> None:
        _hush_serial_link()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.shutdown(db=True)
        except Exception:  # noqa: BLE001  # what is left of a dead application must not stop the next
            self.declare_lost("it did not close")

    async def _load_db(self) -> None:
        try:
            await super()._load_db()
        except BaseException as error:
            # zigpy leaves the database's thread behind, and the process could not end
            if self._dblistener is not None:
                await self._dblistener.shutdown()
            if isinstance(error, sqlite3.Error):
                raise ConfigError(_unusable(self.config[CONF_DATABASE], error)) from None
            raise

    @property
    def network(self) -> NetworkInfo:
        """The network that is up."""
        info = self.state.network_info
        return NetworkInfo(info.extended_pan_id.serialize(), int(info.pan_id), int(info.channel))

    def sound_report_of(self, address: zigpy.types.NWK) -> None:
        """Keep when a known device was heard, not more often than is worth a write to the database."""
        now_utc = datetime.now(UTC)
        for device in self.devices.values():
            if device.nwk == address and now_utc.timestamp() - (device.last_seen or 0.0) > SEEN_EVERY_S:
                device.last_seen = now_utc

    # --- joining -----------------------------------------------------------------------------------

    async def permit(self, time_s: int = 60, node: Any = None) -> None:
        """Called by zigpy at every start, to close the network. Never prepares a join without a code.

        bellows would let everybody who knows the public link key in for a while, and would set the policy
        back two seconds later, whatever it is by then.
        """
        await super(ControllerApplication, self).permit(time_s, node)

    async def permit_gp(self, time_s: int) -> None:
        """Green Power devices have no install code, and no business here: never opened, so never closed."""

    def ezsp_callback_handler(self, frame_name: str, args: Any) -> None:
        """Called by bellows for everything that the coordinator says by itself."""
        if frame_name == "trustCenterJoinHandler":
            address, ieee, update, decision, parent = args
            if update == bellows.types.EmberDeviceUpdate.STANDARD_SECURITY_UNSECURED_JOIN:
                refused = decision == bellows.types.EmberJoinDecision.DENY_JOIN
                self.on_join(JoinRequest(str(ieee), int(address), int(parent), refused))
        super().ezsp_callback_handler(frame_name, args)

    async def close_joining(self, *, forget_keys: bool) -> None:
        """Let nobody join any more, here and through any router. Raises anything.

        Args:
            forget_keys: drop what waits for devices. A device that has just joined still needs its key: it
                gets a new one under it (Zigbee Base Device Behavior 10.2.5).
        """
        await self.permit_ncp(0)
        policy = bellows.types.EzspPolicyId.TRUST_CENTER_POLICY
        await self._ezsp.setPolicy(policyId=policy, decisionId=self._ezsp.tc_policy)
        if forget_keys:
            await self._ezsp.clearTransientLinkKeys()
        tries = CLOSE_TRIES
        while True:
            try:
                await self.permit(0)
                return
            except zigpy.exceptions.DeliveryError:
                tries -= 1
                if not tries:
                    raise
                await asyncio.sleep(CLOSE_AGAIN_S)

    # --- its end -----------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by bellows, up to twice for one loss."""
        self.declare_lost("the connection was closed" if exc is None else type(exc).__name__)

    def declare_lost(self, reason: str) -> None:
        """This application is dead; the first reason stays."""
        _hush_serial_link()
        if not self.lost.is_set():
            self.lost_reason = reason
            self.lost.set()

    async def watch(self) -> str:
        """Ask for a sign of life every second. Returns why the coordinator was lost, when it was."""
        watcher = asyncio.create_task(self._heartbeat(), name="zigbee heartbeat")
        try:
            await self.lost.wait()
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        return self.lost_reason

    async def _heartbeat(self) -> None:
        loop = asyncio.get_running_loop()
        misses = 0
        due_s = loop.time() + HEARTBEAT_S
        while misses < HEARTBEAT_MISSES:
            await asyncio.sleep(due_s - loop.time())
            due_s = loop.time() + HEARTBEAT_S
            try:
                async with asyncio.timeout(HEARTBEAT_TIMEOUT_S):
                    await self._ezsp.nop()
            except Exception:  # noqa: BLE001  # a dead link raises anything, AttributeError included
                misses += 1
            else:
                misses = 0
        self.declare_lost(f"no sign of life in {HEARTBEAT_MISSES} heartbeats")

    async def broadcast_setpoints(self, zcl: bytes, sequence: int) -> None:
        """Hand one broadcast over. Returns when the coordinator accepted it; raises anything."""
        await self.broadcast(
            profile=PROFILE,
            cluster=CLUSTER,
            src_ep=ENDPOINT,
            dst_ep=0xFF,
            grpid=0,
            radius=0,
            sequence=sequence,
            data=zcl,
            broadcast_address=zigpy.types.BroadcastAddress.RX_ON_WHEN_IDLE,
            priority=zigpy.types.PacketPriority.CRITICAL,  # waits for no unicast that nobody answers
        )

    async def unicast_setpoints(self, address: int, zcl: bytes, sequence: int) -> None:
        """Send to one slave. Returns when the slave's radio acknowledged it; raises anything."""
        mode = zigpy.types.AddrMode.NWK
        endpoint = zigpy.types.uint8_t(ENDPOINT)
        packet = zigpy.types.ZigbeePacket(
            src=zigpy.types.AddrModeAddress(addr_mode=mode, address=self.state.node_info.nwk),
            src_ep=endpoint,
            dst=zigpy.types.AddrModeAddress(addr_mode=mode, address=zigpy.types.NWK(address)),
            dst_ep=endpoint,
            tsn=zigpy.types.uint8_t(sequence),
            profile_id=zigpy.types.uint16_t(PROFILE),
            cluster_id=zigpy.types.uint16_t(CLUSTER),
            data=zigpy.types.SerializableBytes(zcl),
            tx_options=zigpy.types.TransmitOptions.ACK,
            priority=zigpy.types.PacketPriority.NORMAL,
        )
        async with asyncio.timeout(UNICAST_TIMEOUT_S):
            await self.send_packet(packet)

    @property
    def broadcast_table_full(self) -> int | None:
        """How often the coordinator had no room for a broadcast, if it says so (read every 10 s)."""
        counters = self.state.counters
        if "ezsp_counters" in counters and "BROADCAST_TABLE_FULL" in counters["ezsp_counters"]:
            return int(counters["ezsp_counters"]["BROADCAST_TABLE_FULL"])
        return None


def _unusable(database: str, error: sqlite3.Error) -> str:
    return (
        f"the database of the radio, {database}, cannot be used ({error}): make room, check permissions, "
        "or, if it is damaged, restore it from a copy or move it away: the network itself is in the "
        "coordinator, and names of devices and backups alone are lost"
    )


def _hush_serial_link() -> None:
    """Look at what becomes of frames that are still on their way through the serial link.

    bellows shields them from the time limits set here, so nobody else does when the link ends, and each
    would end as an unretrieved exception in the log.
    """
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "AshProtocol._send_data_frame":
            task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
