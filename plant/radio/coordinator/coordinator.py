"""The virtual coordinator: takes a host's frames, lets the stack act on them, and answers."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias

import bellows.types as t

from plant.radio.coordinator import (
    commands_configuration,
    commands_messaging,
    commands_network,
    commands_security,
)
from plant.radio.coordinator.ash import AshModule
from plant.radio.coordinator.ezsp import EzspCodec, Fields, UnsupportedCommand
from plant.radio.coordinator.line import Line, clean
from plant.radio.coordinator.nvram import Nvram
from plant.radio.coordinator.serve import PtyPort, TcpPort
from plant.radio.coordinator.stack import Stack
from plant.radio.coordinator.trust_center import admit
from plant.radio.medium import COORDINATOR, Node, RadioMedium

log = logging.getLogger(__name__)

POWER_ON_S = 0.05
"""After a TCP host connects until the module announces itself, as network adapters do."""
DEFAULT_EZSP = 13
"""EmberZNet 7.4: widely deployed."""

Command: TypeAlias = Callable[[Stack, Fields], Fields]
COMMANDS: Mapping[str, Command] = {
    **commands_configuration.COMMANDS,
    **commands_network.COMMANDS,
    **commands_security.COMMANDS,
    **commands_messaging.COMMANDS,
}


class VirtualCoordinator:
    """A Zigbee coordinator with an EmberZNet firmware, in software.

    Args:
        air: the network behind it.
        ezsp_version: one of `plant.radio.coordinator.ezsp.VERSIONS`.
        nvram: what it remembers; `Nvram.formed(rng)` has a network that a host resumes, `Nvram()` is blank.
        outbound, inbound: what the serial line does to ASH frames to and from the host.

    Attributes:
        path: what the host opens, once served.
        calls: commands that were asked for, by name.
        refused: commands that were unknown or malformed; a sound host leaves it empty.
        dead: whoever connects hears nothing.
        hung: the serial link acknowledges, but no command is answered.
    """

    def __init__(
        self,
        air: RadioMedium,
        *,
        ezsp_version: int = DEFAULT_EZSP,
        nvram: Nvram | None = None,
        outbound: Line = clean,
        inbound: Line = clean,
    ) -> None:
        self.air = air
        self.nvram = Nvram() if nvram is None else nvram
        self.codec = EzspCodec(ezsp_version)
        self.stack = Stack(air, self.nvram, self.codec)
        self.stack.emit = self._emit
        self.path = ""
        self.dead = self.hung = False
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._outbound, self._inbound = outbound, inbound
        self.ash: AshModule | None = None
        self._hang_up: Callable[[], None] = lambda: None
        self._port: PtyPort | TcpPort | None = None
        self._power_on: asyncio.TimerHandle | None = None
        self._negotiated = False
        self._answering = False
        self._held: list[tuple[str, Fields]] = []
        self._last_sequence = 0

    async def start_tcp(self, port: int = 0) -> str:
        """Listen on loopback (0: any port) and return the path. Raises OSError if the port is taken."""
        self._port = await TcpPort.open(self, port)
        self.path = self._port.path
        return self.path

    async def start_pty(self) -> str:
        """Open a pseudo-terminal. Returns its path."""
        self._port = PtyPort(self)
        self.path = self._port.path
        return self.path

    async def stop(self) -> None:
        """Drop the host, the port and every frame under way. Leaves nothing behind; may be called again."""
        port, self._port = self._port, None
        if port is not None:
            await port.close()
        self.detach()
        self.air.close()
        self.nvram.save()

    # the host's end ------------------------------------------------------------------------------
    def attach(self, write: Callable[[bytes], None], hang_up: Callable[[], None]) -> None:
        """A host is there."""
        self.ash = AshModule(
            write, self._on_command, self._on_reset, outbound=self._outbound, inbound=self._inbound
        )
        self._hang_up = hang_up
        self.ash.mute = self.dead
        # a network adapter powers its module when a host connects: it announces itself
        self._power_on = asyncio.get_running_loop().call_later(POWER_ON_S, self._announce)

    def feed(self, data: bytes) -> None:
        """Bytes from the host."""
        if self.ash is not None:
            self.ash.feed(data)

    def detach(self) -> None:
        """The host is gone. The network stays up, as it does behind a real stick."""
        if self._power_on is not None:
            self._power_on.cancel()
            self._power_on = None
        if self.ash is not None:
            self.ash.close()
            self.ash = None

    # faults --------------------------------------------------------------------------------------
    def crash(self, code: t.NcpResetCode = t.NcpResetCode.RESET_WATCHDOG) -> None:
        """Reset by itself: the network is down until the host starts it again."""
        self._restart(code)

    def hang(self) -> None:
        """Say nothing any more, hear nothing any more."""
        if self.ash is not None:
            self.ash.mute = True

    def fail_link(self) -> None:
        """Declare the serial link failed."""
        if self.ash is not None:
            self.ash.fail(t.NcpResetCode.ERROR_EXCEEDED_MAXIMUM_ACK_TIMEOUT_COUNT)

    def unplug(self) -> None:
        """Drop the connection under the host. A TCP host may connect again; a terminal is gone for good."""
        self._hang_up()

    def join(self, node: Node, through: Node | None = None) -> bool:
        """A device asks to join, through the coordinator or a router, and announces itself if it is let in.

        Returns:
            Whether it is in the network: it was let in, and could decrypt the network key.

        Raises:
            PermissionError: joining is closed there; the trust center hears nothing of it.
        """
        if not self.stack.up or not (self.stack.permitting if through is None else self._opens(through)):
            raise PermissionError("joining is closed")
        if not admit(self.stack, node, COORDINATOR if through is None else through.address):
            return False
        node.network_key = self.air.network_key
        if node.address not in self.air.nodes:
            self.air.add(node)
        node.announce()
        return True

    def _opens(self, router: Node) -> bool:
        return router.online and self.air.clock() < router.permit_until_s

    # frames --------------------------------------------------------------------------------------
    def _announce(self) -> None:
        self._power_on = None
        if isinstance(self._port, TcpPort) and self.ash is not None and not self.ash.connected:
            self._restart(t.NcpResetCode.RESET_POWER_ON)

    def _on_reset(self) -> None:
        self._restart(t.NcpResetCode.RESET_SOFTWARE)

    def _restart(self, code: t.NcpResetCode) -> None:
        self.stack.reset()
        self._negotiated = self.hung = False
        self._held.clear()
        if self.ash is not None:
            self.ash.restarted(code)

    def _on_command(self, frame: bytes) -> None:
        if self.hung:
            return
        legacy = self.codec.legacy_version(frame)
        self._answering = True
        try:
            self._send(legacy if legacy is not None else self._answer(frame))
        finally:
            self._answering = False
        self._negotiated |= legacy is not None and frame[3] == self.codec.version
        if frame:
            self._last_sequence = frame[0]
        held, self._held = self._held, []
        for name, fields in held:
            self._emit(name, fields)

    def _answer(self, frame: bytes) -> bytes:
        try:
            command = self.codec.decode(frame)
            self.calls[command.name] += 1
            self._negotiated |= command.name == "version"
            # after a reset everything else is refused, so a host that missed it notices
            if not self._negotiated:
                raise UnsupportedCommand("before version", t.EzspStatus.ERROR_VERSION_NOT_SET)
            act = COMMANDS.get(command.name)
            if act is None:
                raise UnsupportedCommand(command.name, t.EzspStatus.ERROR_INVALID_FRAME_ID)
        except UnsupportedCommand as refusal:
            log.debug("refused %s", refusal.label)
            self.refused[refusal.label] += 1
            return self.codec.invalid(frame[0] if frame else 0, refusal.status)
        fields = act(self.stack, command.arguments)
        return self.codec.response(command.sequence, command.name, fields)

    def _emit(self, name: str, fields: Fields) -> None:
        if self._answering:
            self._held.append((name, fields))
        elif self._negotiated:
            self._send(self.codec.callback(self._last_sequence, name, fields))

    def _send(self, frame: bytes) -> None:
        if self.ash is not None:
            self.ash.send(frame)
