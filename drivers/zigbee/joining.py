"""Lets one device into the network, by its install code, and closes the network again.

There is no way in without a code: the network key would travel under a link key that everybody knows.
"""

import asyncio
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import zigpy.exceptions
import zigpy.types
import zigpy.util

from drivers.errors import Transient, reason
from drivers.zigbee.coordinator import Coordinator, JoinRequest
from drivers.zigbee.setpoint_frame import CLUSTER
from drivers.zigbee.settings import ZigbeeSettings
from drivers.zigbee.temporary_coordinator import temporary_coordinator

IEEE_BYTES = 8
INSTALL_CODE_BYTES = 16
CRC_BYTES = 2
SECONDS_MAX = 254
"""255 would mean for ever (Zigbee specification 2.4.3.3.7)."""
CLOSE_TIMEOUT_S = 15.0
_SEPARATORS = str.maketrans("", "", ":-. \t")


def parse_ieee(text: str) -> str:
    """An IEEE address in any usual spelling, as ``00:12:4b:00:1c:a1:b2:c3``.

    Raises:
        ValueError: says what is wrong with it.
    """
    digits = _hexadecimal(text.strip().removeprefix("0x").removeprefix("0X"))
    if len(digits) != 2 * IEEE_BYTES:
        raise ValueError(f"it has {len(digits)} digits; an IEEE address has {2 * IEEE_BYTES}")
    ieee = bytes.fromhex(digits)
    if len(set(ieee)) == 1 and ieee[0] in (0x00, 0xFF):
        raise ValueError("all zeros or all ones is nobody's address")
    return ieee.hex(":")


def parse_install_code(text: str) -> bytes:
    """The 16 bytes and the checksum of an install code in any usual spelling.

    Raises:
        ValueError: says what is wrong with it, without repeating it.
    """
    digits = _hexadecimal(text)
    whole = 2 * (INSTALL_CODE_BYTES + CRC_BYTES)
    if len(digits) == 2 * INSTALL_CODE_BYTES:
        raise ValueError(
            f"its last two bytes, the checksum, are missing; copy all {whole} digits from the label"
        )
    if len(digits) != whole:
        raise ValueError(
            f"it has {len(digits)} digits; an install code has {whole}, the last four a checksum"
        )
    code = bytes.fromhex(digits)
    try:
        zigpy.util.convert_install_code(code)
    except ValueError:  # its text holds the code
        raise ValueError("its checksum does not fit: a digit is wrong. Compare it with the label") from None
    return code


def _hexadecimal(text: str) -> str:
    digits = text.translate(_SEPARATORS)
    strange = sorted(set(digits) - set(string.hexdigits))
    if strange:
        raise ValueError(f"{' '.join(map(repr, strange))} cannot stand in it, only 0 to 9 and a to f")
    return digits


@dataclass(frozen=True, slots=True)
class JoinEvent:
    """One step, as it happens. `kind` is stable, `text` for people; `ieee` is of the device it is about."""

    kind: Literal["open", "asked", "refused", "silent", "joined", "closed", "not_closed"]
    ieee: str
    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A device that is in the network and has answered with its node descriptor.

    `is_router` and `is_slave`: stays on and relays; has the cluster of the setpoint protocol.
    """

    ieee: str
    address: int
    manufacturer: str | None
    model: str | None
    is_router: bool
    is_slave: bool


async def permit_join(
    settings: ZigbeeSettings, ieee: str, install_code: bytes, seconds: int, tell: Callable[[JoinEvent], None]
) -> Joined | None:
    """Open the network for one device, wait until it has joined, close the network, whatever happens.

    Args:
        ieee: as from `parse_ieee`.
        install_code: as from `parse_install_code`.
        seconds: 1..254.
        tell: called with every step, from the event loop.

    Returns:
        The device, or None when the time was over before.

    Raises:
        ConfigError: no coordinator or no network.
        Transient: the coordinator refused to open the network, or was lost.
    """
    link_key = zigpy.util.convert_install_code(install_code)
    async with temporary_coordinator(settings) as app:
        window = _PermitWindow(app, zigpy.types.EUI64.convert(ieee), tell)
        joined = None
        try:
            joined = await window.wait(link_key, seconds)
        finally:
            await _close(app, ieee, tell, forget_keys=joined is None)
    return joined


class _PermitWindow:
    """The time in which one device may join."""

    def __init__(self, app: Coordinator, ieee: zigpy.types.EUI64, tell: Callable[[JoinEvent], None]) -> None:
        self._app, self._ieee, self._tell = app, ieee, tell
        self._interviewed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._seconds = 0
        self._is_open = self._was_asked = self._is_silent = False
        app.on_join = self._asked
        app.joining = ieee
        app.add_listener(self)
        # what an earlier interview found proves nothing about this one
        known = app.devices.pop(ieee, None)
        if known is not None:
            known.on_remove()

    async def wait(self, link_key: zigpy.types.KeyData, seconds: int) -> Joined | None:
        """Open, and follow what happens until the device was interviewed or the time is over."""
        self._seconds = seconds
        try:
            await self._app.permit_with_link_key(self._ieee, link_key, seconds)
        except Exception as error:  # busy, or a dying bellows
            raise Transient(f"the coordinator did not open the network: {reason(error)}") from error
        self._opened()
        lost = asyncio.create_task(self._app.watch(), name="zigbee watch")
        try:
            await asyncio.wait(
                (lost, self._interviewed), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if self._interviewed.done():
                return self._joined(self._interviewed.result())
            if lost.done():
                raise Transient(f"the coordinator was lost: {self._app.lost_reason}")
            return None
        finally:
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)

    def _joined(self, device: Any) -> Joined:
        clusters = {c for endpoint in device.non_zdo_endpoints for c in endpoint.in_clusters}
        joined = Joined(
            ieee=str(device.ieee),
            address=int(device.nwk),
            manufacturer=device.manufacturer,
            model=device.model,
            is_router=bool(device.node_desc.is_router),
            is_slave=CLUSTER in clusters,
        )
        name = " ".join(word for word in (joined.manufacturer, joined.model) if word) or "it tells no model"
        self._say("joined", f"joined as 0x{joined.address:04x} ({name})")
        return joined

    def _opened(self) -> None:
        """Told once, and before anything that comes in through the door."""
        if not self._is_open:
            self._is_open = True
            self._say("open", f"open for {self._seconds} s, for this device alone")

    def _asked(self, newcomer: JoinRequest) -> None:
        self._opened()
        way = "" if newcomer.parent == 0 else f" through 0x{newcomer.parent:04x}"
        if newcomer.refused:
            why = "the coordinator refused" if newcomer.ieee == str(self._ieee) else "it is not the one"
            self._tell(JoinEvent("refused", newcomer.ieee, f"asked to join{way} and was refused: {why}"))
        elif not self._was_asked:
            self._was_asked = True
            self._say("asked", f"asked to join{way} and was sent the network key")
        else:
            self._silent("asks again")

    def _say(self, kind: Literal["open", "asked", "silent", "joined"], text: str) -> None:
        self._tell(JoinEvent(kind, str(self._ieee), text))

    def _silent(self, what: str) -> None:
        if not self._is_silent:
            self._is_silent = True
            self._say(
                "silent",
                f"{what}: it has not got the network key. Is this its install code, and is it within reach?",
            )

    # called by zigpy
    def device_initialized(self, device: Any) -> None:
        """A device was interviewed to the end."""
        if device.ieee == self._ieee and not self._interviewed.done():
            self._interviewed.set_result(device)

    def device_init_failure(self, device: Any) -> None:
        """A device was let in and then did not answer, or not to the end."""
        if device.ieee != self._ieee:
            return
        if device.node_desc is not None:
            self.device_initialized(device)
        else:
            self._silent("does not answer")


async def _close(
    app: Coordinator, ieee: str, tell: Callable[[JoinEvent], None], *, forget_keys: bool
) -> None:
    """Close the network; when that fails, say until when it stays open."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await app.close_joining(forget_keys=forget_keys)
    except Exception as error:  # noqa: BLE001  # the coordinator may be gone, and bellows raises anything then
        text = f"could not be closed ({reason(error)}): it closes by itself when its time is over"
        tell(JoinEvent("not_closed", ieee, f"the network {text}"))
    else:
        tell(JoinEvent("closed", ieee, "the network is closed"))
