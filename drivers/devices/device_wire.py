"""Keeps one device up, tells it its setpoint, and collects what it says of itself.

A device may answer slowly, hang, or be gone. None of that costs the tick more than `patience_s`: a request
that takes longer goes on beside it, and what became of it is told later. A connection is made anew after a
pause that doubles from 0.2 to 5 s. No setpoint is repeated here: only a decision that was cleared again
renews it, so a daemon that hangs leaves the device to its own dead-man.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Literal, Protocol

from core.authorization import AuthorizedFrame, Decoded
from drivers.devices.device_setpoint import DeviceSetpoint
from drivers.errors import ConfigError, DriverError, Transient, Unconfirmed
from drivers.ports import SlaveStatus

PAUSE_MIN_S = 0.2
PAUSE_MAX_S = 5.0
PAUSE_JITTER = 0.2
POLL_S = 1.0
"""A device is asked what it does this often, when nobody else asks it something."""
CLOSE_S = 0.5
REFUSED_S = 60.0
"""One that was told to draw and cannot be trusted is left alone for so long, and not switched on and off."""
BUDGET = "budget"
"""Kind of a refusal that says nothing about the device: its wire may carry no more just now."""


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """What a device says of itself; None for what it does not tell.

    `applied_w` is the setpoint that it follows now, `power_w` what it measures, `detail` its own words for a
    state that a person should know (a temperature limit, a fault), empty when all is well.
    """

    power_w: float | None = None
    applied_w: int | None = None
    temperature_c: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something that the log should know. `kind` is "up", "down" or "problem"."""

    kind: Literal["up", "down", "problem"]
    name: str
    text: str


class SlaveDevice(Protocol):
    """The language of one kind of device. Not for concurrent use: `DeviceWire` asks one thing at a time."""

    @property
    def version(self) -> str:
        """Of its firmware, as it told it when it was opened; empty where it tells none."""
        ...

    async def open(self) -> None:
        """Connect, recognise the device, set its dead-man and read it back.

        Raises Transient (try again), ConfigError or DeviceFault (the text says what to do).
        """
        ...

    async def write(self, watts: int) -> None:
        """Tell the setpoint, which also renews the dead-man. Returns when the device confirmed it.

        Raises Transient when the device surely did not take it, Unconfirmed when nobody knows, ConfigError
        when it cannot be trusted and was switched off again.
        """
        ...

    async def read(self) -> DeviceReading:
        """What it says now. Raises Transient."""
        ...

    async def close(self) -> None:
        """Let go of the connection; the next `open` makes a new one."""
        ...


class DeviceWire:
    """Satisfies `drivers.ports.SlaveDriver` for one device."""

    def __init__(
        self,
        slot: int,
        name: str,
        device: SlaveDevice,
        *,
        dead_man_s: float,
        patience_s: float,
        limit_s: float,
        clock: Callable[[], float],
        rng: Random,
        on_event: Callable[[DeviceEvent], None],
        write_every_s: float = 0.0,
        poll_s: float = POLL_S,
        proven_version: str = "",
    ) -> None:
        """Nothing happens before `start`.

        Args:
            dead_man_s: after so long without a message the device rests by itself.
            patience_s: how long a tick waits for the answer to a setpoint.
            limit_s: how long the device may take for one request before it counts as lost.
            write_every_s: its write budget: setpoints that come sooner are refused, rest never is.
            proven_version: of the firmware whose dead-man was proven; another one is refused. Empty: any.
        """
        self.slots = (slot,)
        self._name, self._device = name, device
        self._dead_man_s, self._patience_s, self._limit_s = dead_man_s, patience_s, limit_s
        self._clock, self._rng, self._on_event = clock, rng, on_event
        self._write_every_s, self._poll_s = write_every_s, poll_s
        self._proven_version = proven_version
        self._asking = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._up = False
        self._problem = ""
        self._refused: DriverError | None = None
        """What was wrong with it when it was told something."""
        self._told_w: int | None = None
        self._written_at_s = -inf
        self._settled: list[tuple[Decoded, float]] = []
        self._status: SlaveStatus | None = None
        self.reading: DeviceReading | None = None
        """What it last said."""
        self.losses = 0

    @property
    def up(self) -> bool:
        """Whether it is connected and has answered."""
        return self._up and not self._lost.is_set()

    @property
    def name(self) -> str:
        """As configured."""
        return self._name

    @property
    def version(self) -> str:
        """Of the device's firmware; empty where it tells none."""
        return self._device.version

    @property
    def problem(self) -> str:
        """Why it is not up, in words that say what to do; empty while it is."""
        return "" if self.up else self._problem

    def ttl_s(self, slot: int) -> float:
        """Its dead-man."""
        del slot
        return self._dead_man_s

    async def start(self) -> None:
        """Begin to keep it up, in the background. A second call changes nothing."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name=f"device {self._name}")

    async def stop(self) -> None:
        """Let go of the device. Leaves no task and no open connection behind."""
        tasks = [task for task in (self._writing, self._keeper) if task is not None]
        self._writing = self._keeper = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def encode(self, setpoints_w: Mapping[int, int], *, rest: bool) -> bytes:
        """One message. Raises DeviceMessageError."""
        ((slot, watts),) = setpoints_w.items()
        return DeviceSetpoint(slot, watts, rest).to_bytes()

    def decode(self, payload: bytes) -> Decoded:
        """The message that these bytes are. Raises DeviceMessageError."""
        return DeviceSetpoint.from_bytes(payload)

    async def send(self, message: AuthorizedFrame) -> None:
        """Tell the device. Returns when it confirmed, within `patience_s`.

        Raises:
            Unconfirmed: it has not answered yet, or the connection died in the middle.
            Transient: it is down, still busy with an earlier message, or was written too short a time ago.
        """
        if not self.up:
            raise Transient(f"{self._name} is down: {self.problem or 'not connected yet'}")
        if self._writing is not None and not self._writing.done():
            raise Transient(f"{self._name} has not answered the message before", "busy")
        since_s = self._clock() - self._written_at_s
        if not message.safe_release and since_s < self._write_every_s:
            raise Transient(f"{self._name} is written every {self._write_every_s:g} s at most", BUDGET)
        (watts,) = message.said.setpoints_w
        self._writing = asyncio.create_task(self._write(watts), name=f"setpoint {self._name}")
        done, _ = await asyncio.wait((self._writing,), timeout=self._patience_s)
        if not done:
            self._writing.add_done_callback(lambda task: self._late(task, message.said))
            raise Unconfirmed(f"{self._name} has not answered within {self._patience_s:g} s")
        self._writing.result()

    def settled(self) -> tuple[tuple[Decoded, float], ...]:
        """Messages that were accepted later than the tick waited."""
        told = tuple(self._settled)
        self._settled.clear()
        return told

    def reports(self) -> dict[int, SlaveStatus]:
        """What it last said."""
        return {} if self._status is None else {self.slots[0]: self._status}

    def resting(self) -> bool:
        """Whether it has confirmed 0 W, and nothing else since."""
        return self._told_w == 0

    # --- the device ----------------------------------------------------------------------------

    async def _write(self, watts: int) -> None:
        began = False
        try:
            async with asyncio.timeout(self._limit_s), self._asking:
                before, began = (self._told_w, self._written_at_s), True
                self._told_w, self._written_at_s = None, self._clock()
                await self._device.write(watts)
        except TimeoutError:
            self._lost.set()
            if began:
                raise Unconfirmed(f"{self._name} did not answer within {self._limit_s:g} s") from None
            raise Transient(f"{self._name} was busy for {self._limit_s:g} s", "busy") from None
        except Transient as error:
            if error.kind == BUDGET:
                self._told_w, self._written_at_s = before
            else:
                self._lost.set()
            raise
        except DriverError as error:
            self._refused = error
            self._lost.set()
            raise Transient(str(error), "refused") from error
        self._told_w = watts

    def _late(self, task: asyncio.Task[None], said: Decoded) -> None:
        if not task.cancelled() and task.exception() is None:
            self._settled.append((said, self._clock()))

    async def _keep(self) -> None:
        pause_s = PAUSE_MIN_S
        while True:
            try:
                async with asyncio.timeout(2.0 * self._limit_s), self._asking:
                    await self._device.open()
                    self._require_proven()
                    self._heard(await self._device.read())
                self._came_up()
                pause_s = PAUSE_MIN_S
                await self._poll()
            except TimeoutError:
                self._went_down(f"no answer within {2.0 * self._limit_s:g} s")
            except DriverError as error:
                self._went_down(str(error))
            finally:
                await self._close()
            if self._refused is not None:
                self._refused, pause_s = None, REFUSED_S
            await asyncio.sleep(pause_s * self._rng.uniform(1 - PAUSE_JITTER, 1 + PAUSE_JITTER))
            pause_s = min(2.0 * pause_s, PAUSE_MAX_S)  # also after the long one

    def _require_proven(self) -> None:
        """Raises ConfigError for a firmware that has never shown that it lets go by itself."""
        told = self._device.version
        if self._proven_version and told != self._proven_version:
            self._refused = ConfigError(
                f"its firmware is {told or 'unknown'} now, and its dead-man was proven with "
                f"{self._proven_version}. Prove it again with: sunkeep commission {self._name!r}"
            )
            raise self._refused

    async def _poll(self) -> None:
        """Ask what it does until it is lost. Raises what ended it."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._lost.wait()
            if self._lost.is_set():
                raise self._refused or Transient("it did not answer", "lost")
            async with self._asking:
                told_w = self._told_w
                try:
                    async with asyncio.timeout(self._limit_s):
                        reading = await self._device.read()
                except Transient as error:
                    if error.kind == BUDGET:
                        continue
                    raise
            self._heard(reading, told_w)

    def _heard(self, reading: DeviceReading, told_w: int | None = None) -> None:
        """`told_w` is what it had confirmed when it was asked; None when that is not known."""
        applied_w = told_w if reading.applied_w is None else reading.applied_w
        self.reading = reading
        self._status = SlaveStatus(
            slot=self.slots[0],
            counter=0,
            applied_w=applied_w or 0,
            power_w=reading.power_w,
            resting=not applied_w,
            heard_at_s=self._clock(),
            told_w=told_w,
        )

    def _came_up(self) -> None:
        self._lost.clear()
        self._up, self._problem = True, ""
        self._on_event(DeviceEvent("up", self._name, ""))

    def _went_down(self, text: str) -> None:
        if self._up:
            self.losses += 1
            self._on_event(DeviceEvent("down", self._name, text))
        elif text != self._problem:
            self._on_event(DeviceEvent("problem", self._name, text))
        self._up, self._problem, self._told_w = False, text, None

    async def _close(self) -> None:
        with suppress(TimeoutError, DriverError):
            async with asyncio.timeout(CLOSE_S):
                await self._device.close()
