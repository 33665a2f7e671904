"""Register layouts of real meters as tables, and what they hold for a given state of the site.

Written from the manufacturers' documents and independent of the driver's profiles: a mistake on one side
shows as a disagreement between the two.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import hypot
from typing import TypeAlias

from core.site import Phases

Words: TypeAlias = tuple[int, ...]
POWERS = ("power_w", "total_power_w")


@dataclass(frozen=True, slots=True)
class MeterState:
    """What flows through the meter. `power_w` + import, - export; current and power factor follow."""

    power_w: Phases
    voltage_v: Phases = (230.0, 230.0, 230.0)
    reactive_var: Phases = (40.0, 40.0, 40.0)
    frequency_hz: float = 50.0
    import_wh: float = 0.0
    export_wh: float = 0.0

    @property
    def current_a(self) -> tuple[float, ...]:
        """Effective value per phase."""
        per_phase = zip(self.power_w, self.reactive_var, self.voltage_v, strict=True)
        return tuple(hypot(p, q) / v if v > 0.0 else 0.0 for p, q, v in per_phase)

    @property
    def power_factor(self) -> tuple[float, ...]:
        """Active over apparent power, with the sign of the active power."""
        per_phase = zip(self.power_w, self.reactive_var, strict=True)
        return tuple(p / hypot(p, q) if hypot(p, q) > 0.0 else 1.0 for p, q in per_phase)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one number becomes registers. `absent` is what the meter answers when it has no value."""

    format: str
    low_word_first: bool = False
    absent: Words = ()

    def words(self, number: float) -> Words:
        """Registers for a number, high word first unless the meter does it otherwise."""
        whole = self.format[-1] not in "fd"
        data = struct.pack(self.format, round(number) if whole else number)
        words = struct.unpack(f">{len(data) // 2}H", data)
        return words[::-1] if self.low_word_first else words


F32 = Encoding(">f", absent=(0x7FC0, 0))
I16 = Encoding(">h", absent=(0x8000,))
U16 = Encoding(">H", absent=(0xFFFF,))
I32 = Encoding(">i", absent=(0x7FFF, 0xFFFF))
U32 = Encoding(">I", absent=(0xFFFF, 0xFFFF))
U64 = Encoding(">Q", absent=(0xFFFF,) * 4)
I64 = Encoding(">q", absent=(0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF))
I32_LOW_FIRST = Encoding(">i", low_word_first=True, absent=(0xFFFF, 0x7FFF))


@dataclass(frozen=True, slots=True)
class Entry:
    """Consecutive values of one quantity: `per_unit` counts make one SI unit."""

    address: int
    quantity: str
    encoding: Encoding
    per_unit: float = 1.0


@dataclass(frozen=True, slots=True)
class MeterLayout:
    """One kind of meter: the functions it answers, its registers, constants such as its model number."""

    functions: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    """(first address, count) of the registers that exist; reading others is an illegal address."""
    entries: tuple[Entry, ...]
    constants: Mapping[int, Words]
    serial_at: int | None = None
    longest_read: int = 125

    @property
    def power_at(self) -> list[int]:
        """Addresses of all powers."""
        entries = [entry for entry in self.entries if entry.quantity in POWERS]
        sizes = [len(entry.encoding.words(0.0)) for entry in entries]
        counts = [3 if entry.quantity == "power_w" else 1 for entry in entries]
        starts = [entry.address for entry in entries]
        spans = zip(starts, sizes, counts, strict=True)
        return [at for start, size, count in spans for at in range(start, start + size * count)]

    @property
    def last_phase_at(self) -> range:
        """Addresses of the power of phase C."""
        entry = next(entry for entry in self.entries if entry.quantity == "power_w")
        size = len(entry.encoding.words(0.0))
        return range(entry.address + 2 * size, entry.address + 3 * size)

    def words(self, state: MeterState, tell: "Tell | None" = None) -> dict[int, int]:
        """Register values by address. `tell` replaces how a number becomes registers, for meters that err."""
        tell = tell or encode_exact
        table: dict[int, int] = {}
        for entry in self.entries:
            address = entry.address
            for number in _numbers(state, entry.quantity):
                words = tell(entry, number)
                table.update(enumerate(words, address))
                address += len(words)
        for address, words in self.constants.items():
            table.update(enumerate(words, address))
        return table


Tell: TypeAlias = Callable[[Entry, float], Words]


def encode_exact(entry: Entry, number: float) -> Words:
    """The registers of a number in SI units, as documented."""
    return entry.encoding.words(number * entry.per_unit)


def _numbers(state: MeterState, quantity: str) -> tuple[float, ...]:
    if quantity == "total_power_w":
        return (sum(state.power_w),)
    value = getattr(state, quantity)
    return value if isinstance(value, tuple) else (value,)


_GAVAZZI = (
    Entry(0x00, "voltage_v", I32_LOW_FIRST, 10.0),
    Entry(0x0C, "current_a", I32_LOW_FIRST, 1000.0),
    Entry(0x12, "power_w", I32_LOW_FIRST, 10.0),
    Entry(0x28, "total_power_w", I32_LOW_FIRST, 10.0),
)

LAYOUTS: dict[str, MeterLayout] = {
    "sdm630": MeterLayout(
        functions=(3, 4),
        ranges=((0x00, 80), (0x156, 8), (0xFC00, 3)),
        entries=(
            Entry(0x00, "voltage_v", F32),
            Entry(0x06, "current_a", F32),
            Entry(0x0C, "power_w", F32),
            Entry(0x18, "reactive_var", F32),
            Entry(0x1E, "power_factor", F32),
            Entry(0x34, "total_power_w", F32),
            Entry(0x46, "frequency_hz", F32),
            Entry(0x48, "import_wh", F32, 1e-3),
            Entry(0x4A, "export_wh", F32, 1e-3),
        ),
        constants={},
        serial_at=0xFC00,
        longest_read=80,
    ),
    "em24": MeterLayout(
        functions=(3, 4),
        ranges=((0x00, 96), (0x1101, 1)),
        entries=(
            *_GAVAZZI,
            Entry(0x37, "frequency_hz", U16, 10.0),
            Entry(0x3E, "import_wh", I32_LOW_FIRST, 0.01),
            Entry(0x5C, "export_wh", I32_LOW_FIRST, 0.01),
        ),
        constants={0x1101: (7,)},
        longest_read=11,
    ),
    "em340": MeterLayout(
        functions=(3, 4),
        ranges=((0x00, 80), (0x1103, 1)),
        entries=(
            *_GAVAZZI,
            Entry(0x33, "frequency_hz", U16, 10.0),
            Entry(0x34, "import_wh", I32_LOW_FIRST, 0.01),
            Entry(0x4E, "export_wh", I32_LOW_FIRST, 0.01),
        ),
        constants={0x1103: (1,)},
        longest_read=11,
    ),
    "b23": MeterLayout(
        functions=(3,),
        ranges=((0x5000, 32), (0x5B00, 64), (0x8900, 2)),
        entries=(
            Entry(0x5000, "import_wh", U64, 0.1),
            Entry(0x5004, "export_wh", U64, 0.1),
            Entry(0x5B00, "voltage_v", U32, 10.0),
            Entry(0x5B0C, "current_a", U32, 100.0),
            Entry(0x5B14, "total_power_w", I32, 100.0),
            Entry(0x5B16, "power_w", I32, 100.0),
            Entry(0x5B2C, "frequency_hz", U16, 100.0),
        ),
        constants={},
        serial_at=0x8900,
    ),
    "umg": MeterLayout(
        functions=(3, 4),
        ranges=((19000, 122),),
        entries=(
            Entry(19000, "voltage_v", F32),
            Entry(19012, "current_a", F32),
            Entry(19020, "power_w", F32),
            Entry(19026, "total_power_w", F32),
            Entry(19050, "frequency_hz", F32),
            Entry(19068, "import_wh", F32),
            Entry(19076, "export_wh", F32),
        ),
        constants={},
    ),
    "iem3155": MeterLayout(
        functions=(3,),
        ranges=((2999, 112), (3203, 16)),
        entries=(
            Entry(2999, "current_a", F32),
            Entry(3027, "voltage_v", F32),
            Entry(3053, "power_w", F32, 1e-3),
            Entry(3059, "total_power_w", F32, 1e-3),
            Entry(3109, "frequency_hz", F32),
            Entry(3203, "import_wh", I64),
            Entry(3207, "export_wh", I64),
        ),
        constants={},
    ),
    "dtsu666": MeterLayout(
        functions=(3,),
        ranges=((0x101E, 32), (0x2000, 80)),
        entries=(
            Entry(0x2006, "voltage_v", F32, 10.0),
            Entry(0x200C, "current_a", F32, 1000.0),
            Entry(0x2012, "total_power_w", F32, 10.0),
            Entry(0x2014, "power_w", F32, 10.0),
            Entry(0x2044, "frequency_hz", F32, 100.0),
            Entry(0x101E, "import_wh", F32, 1e-3),
            Entry(0x1028, "export_wh", F32, 1e-3),
        ),
        constants={},
    ),
    "sunspec-203": MeterLayout(
        functions=(3,),
        ranges=((40069, 107),),
        entries=(
            Entry(40072, "current_a", I16, 100.0),
            Entry(40077, "voltage_v", I16, 10.0),
            Entry(40085, "frequency_hz", I16, 100.0),
            Entry(40087, "total_power_w", I16, 1.0),
            Entry(40088, "power_w", I16, 1.0),
            Entry(40107, "export_wh", U32),
            Entry(40115, "import_wh", U32),
        ),
        constants={
            40069: (203, 105),
            40075: (0xFFFE,),  # powers of ten: -2, -1, -2, 0, 0
            40084: (0xFFFF,),
            40086: (0xFFFE,),
            40091: (0,),
            40123: (0,),
        },
    ),
    "sunspec-213": MeterLayout(
        functions=(3,),
        ranges=((40069, 126),),
        entries=(
            Entry(40073, "current_a", F32),
            Entry(40081, "voltage_v", F32),
            Entry(40095, "frequency_hz", F32),
            Entry(40097, "total_power_w", F32),
            Entry(40099, "power_w", F32),
            Entry(40129, "export_wh", F32),
            Entry(40137, "import_wh", F32),
        ),
        constants={40069: (213, 124)},
    ),
}
