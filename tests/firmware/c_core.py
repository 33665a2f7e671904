"""The C core behind the interface of the plant's own slaves, through ctypes."""

import ctypes as c
import subprocess
from collections.abc import Callable
from functools import cache
from math import isfinite
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from plant.radio.medium import RadioMedium
from plant.radio.slave_firmware import CLUSTER, Firmware, Ignored, Status
from plant.radio.slave_node import SlaveNode

FOLDER = Path(__file__).parents[2] / "firmware"
VERDICTS = (
    None,
    Ignored.LENGTH,
    Ignored.VERSION,
    Ignored.RESERVED,
    Ignored.TAG,
    Ignored.COUNTER,
    Ignored.TIME_TO_LIVE,
    Ignored.SLOT,
    Ignored.SETPOINT,
)
"""`sunkeep_verdict`, as the Python slave names it."""
NOT_MEASURED = -0x8000_0000
NEVER = 0xFFFF_FFFF_FFFF_FFFF
FOUND, NONE = 0, 1
ZCL_HEAD_BYTES = 5
REPORT_FRAME_BYTES = 42

_LOAD = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(c.c_uint32))
_STORE = c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_uint32)
_RANDOM = c.CFUNCTYPE(c.c_uint32, c.c_void_p)


class _Port(c.Structure):
    _fields_ = (("load", _LOAD), ("store", _STORE), ("random", _RANDOM), ("context", c.c_void_p))


def make(target: str, build: Path, *, folder_of: Path = FOLDER, **more: str) -> str:
    """Run a target of `firmware/Makefile` with its build folder elsewhere; what it printed."""
    settings = [f"{name}={value}" for name, value in more.items()]
    done = subprocess.run(
        ["make", "-C", str(folder_of), target, f"BUILD={build}", *settings],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@cache
def core() -> Any:
    """The compiled core."""
    folder = Path(mkdtemp(prefix="sunkeep-firmware-"))
    make("library", folder)
    library = c.CDLL(str(folder / "libsunkeep_slave.so"))
    slave, at = c.c_void_p, c.c_uint64
    for name, result, arguments in (
        ("shim_slave_bytes", c.c_size_t, ()),
        ("shim_init", c.c_bool, (slave, c.c_char_p, c.c_char_p, c.c_uint8, c.c_int16, c.POINTER(_Port), at)),
        ("shim_set_network_id", None, (slave, c.c_char_p)),
        ("shim_poll", c.c_bool, (slave, c.c_int32, at, c.c_uint8, c.c_char_p)),
        ("shim_report_now", None, (slave,)),
        ("shim_wants_report", c.c_bool, (slave,)),
        ("sunkeep_slave_receive", c.c_int, (slave, c.c_char_p, c.c_size_t, at)),
        ("sunkeep_slave_power_mw", c.c_int32, (slave, at)),
        ("sunkeep_slave_applied_w", c.c_int16, (slave, at)),
        ("sunkeep_slave_state", c.c_int, (slave, at)),
        ("sunkeep_slave_next_ms", c.c_uint64, (slave,)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _ms(at_s: float) -> int:
    return int(at_s * 1000.0 + 1e-6)


class CFirmware(Firmware):
    """A slave whose every decision is made in C. What the Python slave keeps for itself is not used."""

    def __init__(
        self, slot: int, key: bytes, max_w: int, network_id: bytes = bytes(8), rng: Random | None = None
    ) -> None:
        self._slave = c.create_string_buffer(core().shim_slave_bytes())
        self._network_id, self._rng, self._max_w = network_id, rng or Random(0), max_w
        self._callbacks = _Port(_LOAD(self._load), _STORE(self._store), _RANDOM(self._random), None)
        self._now_ms = 0
        self._transaction = 0
        super().__init__(slot, key, max_w)

    def restart(self) -> None:
        began = core().shim_init(
            self._slave,
            self._key,
            self._network_id,
            self.slot,
            self._max_w,
            c.byref(self._callbacks),
            self._now_ms,
        )
        assert began

    def _load(self, _context: Any, counter: Any) -> int:
        if self.counter is None:
            return NONE
        counter[0] = self.counter
        return FOUND

    def _store(self, _context: Any, counter: int) -> bool:
        self.counter = counter
        return True

    def _random(self, _context: Any) -> int:
        return self._rng.getrandbits(32)

    def _at(self, at_s: float) -> int:
        self._now_ms = max(self._now_ms, _ms(at_s))
        return self._now_ms

    def hear(self, payload: bytes, extended_pan_id: bytes, at_s: float) -> Ignored | None:
        core().shim_set_network_id(self._slave, extended_pan_id)
        code = core().sunkeep_slave_receive(self._slave, payload, len(payload), self._at(at_s))
        reason = VERDICTS[code]
        if reason is None:
            self.accepted += 1
        else:
            self.ignored[reason] += 1
        return reason

    @property
    def deadline_s(self) -> float | None:
        raise AssertionError("the C core says itself when it is to be asked again")

    def next_s(self) -> float | None:
        """When it wants to be asked again."""
        next_ms = core().sunkeep_slave_next_ms(self._slave)
        return None if next_ms == NEVER else next_ms / 1000.0

    def status(self, at_s: float) -> Status:
        return Status(core().sunkeep_slave_state(self._slave, self._at(at_s)))

    def reference_w(self, at_s: float) -> float:
        return float(core().sunkeep_slave_power_mw(self._slave, self._at(at_s))) / 1000.0

    def target_w(self, at_s: float) -> int:
        return int(core().sunkeep_slave_applied_w(self._slave, self._at(at_s)))

    def wants_report(self, at_s: float) -> bool:
        self.status(at_s)
        return bool(core().shim_wants_report(self._slave))

    def report(self, at_s: float, measured_w: float | None, extended_pan_id: bytes) -> bytes:
        self.status(at_s)
        core().shim_set_network_id(self._slave, extended_pan_id)
        core().shim_report_now(self._slave)
        frame = self.poll(at_s, measured_w)
        assert frame is not None
        return frame[ZCL_HEAD_BYTES:]

    def poll(self, at_s: float, measured_w: float | None) -> bytes | None:
        """The report that is due, with its ZCL header."""
        measured = measured_w is not None and isfinite(measured_w)
        power_w = round(min(max(measured_w or 0.0, -1e9), 1e9)) if measured else NOT_MEASURED
        frame = c.create_string_buffer(REPORT_FRAME_BYTES)
        self._transaction = (self._transaction + 1) % 256
        sent = core().shim_poll(self._slave, power_w, self._at(at_s), self._transaction, frame)
        return frame.raw if sent else None


class CSlaveNode(SlaveNode):
    """A slave on the air whose reports are timed in C."""

    firmware: CFirmware
    _wakes = 0

    def _consider_report(self) -> None:
        """The core has done so."""

    def _watch(self) -> None:
        next_s = self.firmware.next_s()
        self._wakes += 1
        if next_s is not None:
            self.air.later(max(0.001, next_s - self.air.clock()), self._wake, self._wakes)

    def _wake(self, number: int) -> None:
        if number == self._wakes:
            report = self.firmware.poll(self.air.clock(), self._measured_w(self.firmware.slot))
            if report is not None and self.online:
                self.send(CLUSTER, report)
            self._watch()


def c_slave(
    air: RadioMedium,
    slot: int,
    key: bytes,
    max_w: int,
    measured_w: Callable[[int], float | None],
    rng: Random,
) -> SlaveNode:
    """For `plant.radio.network`: a slave with the C core."""
    return CSlaveNode(air, CFirmware(slot, key, max_w, rng=rng), measured_w, rng)
