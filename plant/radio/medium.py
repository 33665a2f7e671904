"""The simulated radio network: carries application frames between the coordinator and the nodes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Protocol

from plant.radio.broadcast_limiter import BroadcastLimiter
from plant.radio.channel import Delay, Loss, immediate, no_loss

COORDINATOR = 0x0000
ROUTERS = 0xFFFC
RECEIVER_ON = 0xFFFD
EVERYBODY = 0xFFFF
UNICAST_TRIES = 4
"""A unicast is repeated three times by the MAC layer (IEEE 802.15.4 macMaxFrameRetries)."""


class Delivery(Enum):
    """How a frame is addressed."""

    UNICAST = "unicast"
    BROADCAST = "broadcast"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class ApsFrame:
    """One application frame. `source` and `destination` are network addresses, `payload` the APS payload."""

    profile: int
    cluster: int
    source_endpoint: int
    destination_endpoint: int
    payload: bytes
    source: int
    destination: int
    delivery: Delivery = Delivery.UNICAST
    group: int = 0
    nwk_counter: int | None = None
    """Frame counter of the network layer; None where a test does not care."""


class Node(Protocol):
    """Something with a radio."""

    address: int
    ieee: bytes
    online: bool
    router: bool
    receiver_on: bool
    groups: set[int]
    network_key: bytes | None
    """Of the network that it has joined, 16 bytes; None belongs to every network (placed there by a test)."""
    join_key: bytes
    """What it can decrypt when it joins, 16 bytes: from its install code, or the public one."""
    permit_until_s: float
    """Until when it lets others join through it."""

    def receive(self, frame: ApsFrame) -> None: ...
    def announce(self) -> None: ...


@dataclass(slots=True)
class AirStatistics:
    """Counts since the start. `broadcasts_*` of the coordinator, `heard` and `lost` per receiver."""

    broadcasts_offered: int = 0
    broadcasts_refused: int = 0
    broadcasts_heard: int = 0
    broadcasts_lost: int = 0
    unicasts_offered: int = 0
    unicasts_heard: int = 0
    from_nodes_offered: int = 0
    from_nodes_heard: int = 0


Receiver = Callable[[Node, ApsFrame], None]
Tap = Callable[[ApsFrame, float], None]


class RadioMedium:
    """The radio medium between the coordinator and the slaves.

    Args:
        broadcast_delay: until each receiver of one broadcast acts on it.
        unicast_delay: the same for unicasts, both ways.
        loss: of broadcasts; a unicast is lost when all its tries are.
        limiter: what refuses broadcasts; on by default.
        clock: monotonic seconds.

    Attributes:
        extended_pan_id: of the network that the coordinator runs, None while it runs none.
        network_key: of that network, 16 bytes.
        taps: called with every application frame that the coordinator transmits, and when.
        silent: the antenna is off: what the coordinator takes for transmitted reaches nobody.
        copies: how often each receiver's application gets a broadcast.
    """

    def __init__(
        self,
        *,
        broadcast_delay: Delay = immediate,
        unicast_delay: Delay = immediate,
        loss: Loss = no_loss,
        limiter: BroadcastLimiter | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.broadcast_delay, self.unicast_delay, self.loss = broadcast_delay, unicast_delay, loss
        self.limiter = limiter or BroadcastLimiter()
        self.clock = clock
        self.extended_pan_id: bytes | None = None
        self.network_key: bytes | None = None
        self.nodes: dict[int, Node] = {}
        self.taps: list[Tap] = []
        self.statistics = AirStatistics()
        self.to_coordinator: Receiver | None = None
        self.silent = False
        self.copies = 1
        self._timers: set[asyncio.TimerHandle] = set()
        self._heard_counters: dict[tuple[bytes, bytes | None], int] = {}

    def add(self, node: Node) -> None:
        """Put a node into the network. Raises ValueError if its address is taken."""
        if node.address in self.nodes:
            raise ValueError(f"network address 0x{node.address:04x} is taken")
        self.nodes[node.address] = node

    def remove(self, node: Node) -> None:
        """Take a node out of the network."""
        self.nodes.pop(node.address, None)

    def close(self) -> None:
        """Drop every frame that is still on its way."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def broadcast(self, frame: ApsFrame) -> bool:
        """Transmit a broadcast or group frame of the coordinator; False if the table has no room for it."""
        at_s = self.clock()
        self.statistics.broadcasts_offered += 1
        if not self.limiter.allow(at_s):
            self.statistics.broadcasts_refused += 1
            return False
        self._tap(frame, at_s)
        if self.silent:
            return True
        receivers = [
            node for node in self.nodes.values() if _addressed(node, frame) and self._takes(node, frame)
        ]
        for node, delay_s in zip(receivers, self.broadcast_delay(len(receivers)), strict=True):
            if self.loss(node.address, at_s):
                self.statistics.broadcasts_lost += 1
            else:
                for _ in range(self.copies):
                    self.later(delay_s, self._heard, node, frame)
        return True

    def unicast(self, frame: ApsFrame) -> float | None:
        """Transmit a unicast of the coordinator; seconds until it is acknowledged, None if it never is."""
        at_s = self.clock()
        self.statistics.unicasts_offered += 1
        self._tap(frame, at_s)
        if self.silent:
            return None
        node = self.nodes.get(frame.destination)
        if node is None or self._unicast_lost(node, at_s) or not self._takes(node, frame):
            return None
        self.statistics.unicasts_heard += 1
        there_s, back_s = self.unicast_delay(2)
        self.later(there_s, node.receive, frame)
        return there_s + back_s

    def from_node(self, node: Node, frame: ApsFrame) -> None:
        """Carry a frame of a node to the coordinator."""
        self.statistics.from_nodes_offered += 1
        if (
            node.online
            and not self.silent
            and self._knows_key(node)
            and not self._unicast_lost(node, self.clock())
        ):
            self.later(self.unicast_delay(1)[0], self._arrive, node, frame)

    def later(self, delay_s: float, call: Callable[..., None], *args: object) -> None:
        """Call after a delay, unless the air is closed before; at once without a delay."""
        if delay_s <= 0.0:
            call(*args)
            return

        def run() -> None:
            self._timers.discard(timer)
            call(*args)

        timer = asyncio.get_running_loop().call_later(delay_s, run)
        self._timers.add(timer)

    def _knows_key(self, node: Node) -> bool:
        return node.network_key is None or node.network_key == self.network_key

    def _takes(self, node: Node, frame: ApsFrame) -> bool:
        """Whether its network layer lets this frame of the coordinator pass.

        It drops what it cannot decrypt, and every counter that is not greater than the last one under the
        same key (Zigbee specification 4.3.1.2). The order is that of the transmissions: `broadcast_delay`
        lies behind the network layer.
        """
        if not node.online or not self._knows_key(node):
            return False
        if frame.nwk_counter is None:
            return True
        key = (node.ieee, self.network_key)
        fresh = frame.nwk_counter > self._heard_counters.get(key, -1)
        if fresh:
            self._heard_counters[key] = frame.nwk_counter
        return fresh

    def _heard(self, node: Node, frame: ApsFrame) -> None:
        self.statistics.broadcasts_heard += 1
        node.receive(frame)

    def _arrive(self, node: Node, frame: ApsFrame) -> None:
        if self.to_coordinator is not None:
            self.statistics.from_nodes_heard += 1
            self.to_coordinator(node, frame)

    def _unicast_lost(self, node: Node, at_s: float) -> bool:
        return all(self.loss(node.address, at_s) for _ in range(UNICAST_TRIES))

    def _tap(self, frame: ApsFrame, at_s: float) -> None:
        for tap in self.taps:
            tap(frame, at_s)


def _addressed(node: Node, frame: ApsFrame) -> bool:
    if frame.delivery is Delivery.GROUP:
        return frame.group in node.groups
    if frame.destination == ROUTERS:
        return node.router
    return frame.destination == EVERYBODY or (frame.destination == RECEIVER_ON and node.receiver_on)
