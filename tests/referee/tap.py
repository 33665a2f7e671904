"""Leads what the wires of a simulated site carry to the referee, which is a process of its own."""

import asyncio
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from core.site import Slave
from plant.radio.medium import ApsFrame, Delivery
from plant.simulated_site import SimulatedSite

REFEREE = Path(__file__).parent / "referee.py"
CLUSTER = 0xFC57
ZCL_HEAD_BYTES = 5
POWER_REGISTERS = 36
"""The one block that tells voltage, current and power (SDM630 profile)."""
TOLERANCE_S = 0.1
CLOCK_EVERY_S = 0.1
GOOD_AT_START, GOOD_AFTER_STOP = 10, 30


@dataclass(frozen=True, slots=True)
class TapJudgement:
    """What the referee said. `broken` are its lines, `summary` its last one."""

    broken: list[dict[str, Any]]
    summary: dict[str, Any]


class RefereeProcess:
    """The referee's process. Lines go in through a pipe, verdicts come out of a file."""

    def __init__(self) -> None:
        self._verdicts: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(REFEREE)],
            stdin=subprocess.PIPE,
            stdout=self._verdicts,
            cwd="/",
            text=True,
        )

    def tell(self, **line: object) -> None:
        """One line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")

    def finish(self) -> TapJudgement:
        """Close the pipe and read the verdicts."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait(60)
        self._verdicts.seek(0)
        verdicts = [json.loads(text) for text in self._verdicts.read().splitlines()]
        self._verdicts.close()
        assert verdicts, "the referee left without a word"
        assert verdicts[-1].get("summary"), verdicts[-1]
        broken, summary = verdicts[:-1], verdicts[-1]
        assert code == (1 if broken else 0)
        return TapJudgement(broken, summary)


@dataclass
class Tap:
    """The wires of one site, led to the referee. `clock` is the one that the site lives by."""

    referee: RefereeProcess
    name: str
    far_end: SimulatedSite
    clock: Callable[[], float]
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def attach(
        self,
        slaves: Iterable[Slave],
        key: bytes,
        *,
        period_s: float,
        ttl_s: int = 15,
        waits: bool = True,
    ) -> None:
        """Announce the site and begin to listen. `waits` off: the rule `early` is off."""
        air = self.far_end.radio.air
        network = self._network()
        self.referee.tell(
            kind="site",
            site=self.name,
            slaves=[[slave.slot, slave.phase] for slave in slaves],
            key=key.hex(),
            network=network.hex(),
            period_s=period_s,
            ttl_s=ttl_s,
            tolerance_s=TOLERANCE_S,
            good_at_start=GOOD_AT_START if waits else 0,
            good_after_stop=GOOD_AFTER_STOP if waits else 0,
        )
        air.taps.append(self._on_air)
        self.far_end.meter.taps.append(self._on_wire)
        self._task = asyncio.create_task(self._tick(), name="referee clock")

    def detach(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()

    def _network(self) -> bytes:
        network = self.far_end.radio.coordinator.nvram.network
        assert network is not None
        return network.extended_pan_id

    def _on_air(self, frame: ApsFrame, at_s: float) -> None:
        if frame.delivery is Delivery.UNICAST:
            return
        if frame.cluster == CLUSTER:
            payload = frame.payload[ZCL_HEAD_BYTES:].hex()
            self.referee.tell(kind="frame", site=self.name, at_s=at_s, payload=payload)
        else:
            self.referee.tell(kind="other", site=self.name, at_s=at_s)

    def _on_wire(self, answer: bytes | None, at_s: float) -> None:
        if answer is None:
            self.referee.tell(kind="answer", site=self.name, at_s=at_s, power_w=None)
            return
        function, size = answer[7], answer[8]  # behind the MBAP header (Modbus TCP)
        if function != 4 or size != 2 * POWER_REGISTERS:
            return
        numbers = struct.unpack_from(">9f", answer, 9)
        self.referee.tell(
            kind="answer",
            site=self.name,
            at_s=at_s,
            voltage_v=numbers[0:3],
            current_a=numbers[3:6],
            power_w=numbers[6:9],
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_EVERY_S)
            self.referee.tell(kind="clock", site=self.name, at_s=self.clock())
