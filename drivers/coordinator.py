"""One life of the coordinator: a bellows application from start-up to its loss. It is never revived."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import zigpy.config
import zigpy.exceptions
import zigpy.types
from bellows.zigbee.application import ControllerApplication

from drivers.errors import ConfigError
from drivers.frame import CLUSTER, ENDPOINT, PROFILE
from drivers.redaction import guard_logs

START_TIMEOUT_S = 20.0
"""bellows gives up on a silent coordinator after 13.5 s by itself."""
CLOSE_TIMEOUT_S = 5.0
HEARTBEAT_S = 1.0
HEARTBEAT_TIMEOUT_S = 0.8
HEARTBEAT_MISSES = 2
"""A hang is noticed at most 1.0 + 1.0 + 0.8 s after the last answer."""
UNICAST_TIMEOUT_S = 4.0
"""bellows waits 3 s for the acknowledgement of a mains-powered device."""

NO_NETWORK = "no network on this coordinator: run `sunkeep zigbee form`"
OTHER_NETWORK = (
    "the coordinator holds another network than the database remembers: plug in the right one, restore a "
    "backup onto it, or move the database away"
)


@dataclass(frozen=True, slots=True)
class ZigbeeSettings:
    """Where the coordinator is and who listens behind it.

    `path` is a serial device (use /dev/serial/by-id/...) or ``socket://host:port``. `database` keeps the
    devices and backups of the network; with None nothing survives a restart but what the coordinator
    itself holds. `slots` are those of the commissioned slaves.
    """

    path: str
    slots: tuple[int, ...]
    baudrate: int = 115200
    flow_control: str | None = None
    channel: int = 15
    database: Path | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """The network of a coordinator, without its keys. `network_id` as in `drivers.frame`."""

    network_id: bytes
    pan_id: int
    channel: int


class Coordinator(ControllerApplication):  # type: ignore[misc]
    """The application of bellows that takes the slaves' reports itself and notices its own end.

    A report is authenticated by its tag and slot. Its sender needs no entry among the devices, and asking
    for one would cost a broadcast for each unknown sender.
    """

    on_report: Callable[[int, bytes], None]
    """Called with the network address of the sender and the ZCL frame."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.on_report = lambda address, data: None
        self.lost = asyncio.Event()
        self.lost_reason = ""

    @classmethod
    async def start(cls, settings: ZigbeeSettings, *, auto_form: bool = False) -> Self:
        """Connect and resume the network.

        Raises:
            ConfigError: no network, the wrong network, no such device: the message says what to do.
            Exception: anything else that zigpy, bellows and the operating system come up with.
        """
        guard_logs()
        _protect(settings.database)
        # The two steps matter: `new` with start_radio leaks the database's thread when the start fails.
        opening: asyncio.Task[Self] = asyncio.create_task(cls.new(_config(settings), start_radio=False))
        try:
            app = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await (await opening).close()
            raise
        problem = ""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await app.startup(auto_form=auto_form)
        except zigpy.exceptions.NetworkNotFormed:
            problem = NO_NETWORK
        except zigpy.exceptions.NetworkSettingsInconsistent:
            problem = OTHER_NETWORK  # the text of the exception holds both network keys
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
        except BaseException:
            # zigpy leaves the database's thread behind, and the process could not end
            if self._dblistener is not None:
                await self._dblistener.shutdown()
            raise

    @property
    def network(self) -> Network:
        """The network that is up."""
        info = self.state.network_info
        return Network(info.extended_pan_id.serialize(), int(info.pan_id), int(info.channel))

    def packet_received(self, packet: zigpy.types.ZigbeePacket) -> None:
        """Called by bellows for everything that arrives."""
        source = packet.src.address if packet.src is not None else None
        if packet.cluster_id == CLUSTER and isinstance(source, zigpy.types.NWK):
            self.on_report(int(source), packet.data.serialize())
            return
        super().packet_received(packet)

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
            priority=zigpy.types.PacketPriority.HIGH,
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


def _hush_serial_link() -> None:
    """Look at what becomes of frames that are still on their way through the serial link.

    bellows shields them from the time limits set here, so nobody else does when the link ends, and each
    would end as an unretrieved exception in the log.
    """
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "AshProtocol._send_data_frame":
            task.add_done_callback(lambda done: None if done.cancelled() else done.exception())


async def form(settings: ZigbeeSettings) -> Network:
    """Give a blank coordinator a network: the newest backup of the database, else a new one.

    Raises:
        ConfigError: it has one already, or it cannot be reached.
    """
    try:
        app = await Coordinator.start(settings)
    except ConfigError as error:
        if str(error) != NO_NETWORK:
            raise
    else:
        network = app.network
        await app.close()
        found = f"PAN id 0x{network.pan_id:04x}, channel {network.channel}"
        raise ConfigError(f"this coordinator has a network already: {found}")
    app = await Coordinator.start(settings, auto_form=True)
    try:
        if settings.database is not None:
            await app.backups.create_backup()
        return app.network
    finally:
        await app.close()


def _config(settings: ZigbeeSettings) -> dict[str, Any]:
    persistent = settings.database is not None
    return {
        zigpy.config.CONF_DEVICE: {
            zigpy.config.CONF_DEVICE_PATH: settings.path,
            zigpy.config.CONF_DEVICE_BAUDRATE: settings.baudrate,
            zigpy.config.CONF_DEVICE_FLOW_CONTROL: settings.flow_control,
        },
        zigpy.config.CONF_DATABASE: str(settings.database) if persistent else None,
        # a thread of its own costs twice the processor time and wins nothing at one frame a second
        "use_thread": False,
        # both would spend broadcasts and unicasts of their own
        zigpy.config.CONF_OTA: {zigpy.config.CONF_OTA_ENABLED: False},
        zigpy.config.CONF_TOPO_SCAN_ENABLED: False,
        zigpy.config.CONF_NWK_BACKUP_ENABLED: persistent,
        zigpy.config.CONF_NWK_VALIDATE_SETTINGS: persistent,
        zigpy.config.CONF_SOURCE_ROUTING: False,
        zigpy.config.CONF_NWK: {zigpy.config.CONF_NWK_CHANNEL: settings.channel},
    }


def _protect(database: Path | None) -> None:
    """The database holds the network key in clear: make it the owner's alone before sqlite opens it."""
    if database is None:
        return
    try:
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
        database.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"the database {database} cannot be opened: {error.strerror}") from error
