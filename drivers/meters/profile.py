"""Meters as data: one TOML file per device, read strictly.

A profile lists the blocks to read and where in them each quantity lies. Addresses are those on the wire
(0-based). The block that holds the power of the phases is read every tick; the others, slow ones, in turn.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.profile_files import ProfileFiles

LONGEST_READ = 125
"""Registers in one answer (Modbus application protocol V1.1b3, 6.3)."""

ANSWER_DELAY_S = 0.1
"""Meters on RS-485 begin to answer within 10 to 100 ms."""

RegisterType: TypeAlias = Literal["f32", "i16", "u16", "i32", "u32", "i64", "u64"]
WIDTH: dict[str, int] = {"f32": 2, "i16": 1, "u16": 1, "i32": 2, "u32": 2, "i64": 4, "u64": 4}
"""Registers per value."""

Address = Annotated[int, Field(ge=0, le=0xFFFF)]
Function = Literal[3, 4]
Addresses = Annotated[tuple[Address, ...], Field(strict=False, min_length=1, max_length=3)]
Words = Annotated[tuple[int, ...], Field(strict=False)]


class _StrictProfile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RegisterBlock(_StrictProfile):
    """Registers read with one request."""

    address: Address
    count: Annotated[int, Field(ge=1, le=LONGEST_READ)]

    def holds(self, address: int, width: int) -> bool:
        """Whether a value of `width` registers lies wholly inside."""
        return self.address <= address and address + width <= self.address + self.count


class Quantity(_StrictProfile):
    """One value, or one per phase: registers times `scale` gives the SI unit in the quantity's name.

    `exponent` is the address of a power of ten (i16, as in SunSpec) in the same block.
    """

    addresses: Addresses
    type: RegisterType
    scale: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1.0
    exponent: Address | None = None


class Quantities(_StrictProfile):
    """What a meter tells, by the names of the house. Power: + import, unless `import_positive` is false."""

    power_w: Quantity
    total_power_w: Quantity | None = None
    voltage_v: Quantity | None = None
    current_a: Quantity | None = None
    power_factor: Quantity | None = None
    frequency_hz: Quantity | None = None
    import_wh: Quantity | None = None
    export_wh: Quantity | None = None

    def present(self) -> Iterator[tuple[str, Quantity]]:
        """Name and place of each quantity this meter has."""
        for name in type(self).model_fields:
            quantity = getattr(self, name)
            if quantity is not None:
                yield name, quantity


class MeterIdentity(_StrictProfile):
    """Registers that tell which device answers. `expect` lists the accepted values, high word first.

    Without `expect` the value (a serial number) is only compared with what it was before.
    """

    name: str
    address: Address
    count: Annotated[int, Field(ge=1, le=16)]
    function: Function | None = None
    expect: Words = ()
    hint: str = ""


_PER_PHASE = ("power_w", "voltage_v", "current_a", "power_factor")
_IN_POWER_BLOCK = ("total_power_w", "power_factor")
"""Quantities that are compared with the phases' power and so must be of the same instant."""


class Profile(_StrictProfile):
    """Everything the driver has to know about one kind of meter.

    `sign_by_maker`: makers of this kind differ in the sign of power, not in what their counters count, so
    `invert` in a configuration may mean a maker and no turned transformers. `answer_delay_s`: how long the
    device takes at most before it begins to answer, on a serial line.
    """

    title: str
    source: str
    verified: str
    function: Function
    word_order: Literal["big", "little"] = "big"
    import_positive: bool = True
    sign_by_maker: bool = False
    max_registers: Annotated[int, Field(ge=1, le=LONGEST_READ)]
    answer_delay_s: Annotated[float, Field(gt=0.0, le=1.0)] = ANSWER_DELAY_S
    sentinels: Annotated[dict[RegisterType, Annotated[list[int], Field(min_length=1)]], Field()] = {}
    blocks: Annotated[tuple[RegisterBlock, ...], Field(strict=False, min_length=1)]
    quantities: Quantities
    identity: Annotated[tuple[MeterIdentity, ...], Field(strict=False)] = ()

    @property
    def power_block(self) -> RegisterBlock:
        """The block read every tick."""
        return self.block_of(self.quantities.power_w)

    @property
    def longest_block(self) -> int:
        """Registers of the longest answer."""
        return max(block.count for block in self.blocks)

    @property
    def markers(self) -> tuple[RegisterBlock, RegisterBlock]:
        """Two reads that every such meter answers, shorter than the power block."""
        power = self.quantities.power_w
        first, second, _ = sorted(power.addresses)
        width = WIDTH[power.type]
        return RegisterBlock(address=first, count=width), RegisterBlock(
            address=first, count=second + width - first
        )

    @property
    def slow_blocks(self) -> tuple[RegisterBlock, ...]:
        """The other blocks, read in turn."""
        return tuple(block for block in self.blocks if block is not self.power_block)

    def block_of(self, quantity: Quantity) -> RegisterBlock:
        """The block in which all registers of a quantity lie. Raises ValueError if there is none."""
        width = WIDTH[quantity.type]
        places = [(address, width) for address in quantity.addresses]
        if quantity.exponent is not None:
            places.append((quantity.exponent, 1))
        for block in self.blocks:
            if all(block.holds(address, size) for address, size in places):
                return block
        raise ValueError(f"registers {[hex(a) for a, _ in places]} do not lie in one block")

    @model_validator(mode="after")
    def _blocks_fit(self) -> "Profile":
        counts = [block.count for block in self.blocks]
        if len(set(counts)) != len(counts):
            raise ValueError("each block needs a count of its own, to recognise a late answer by its length")
        if max(counts) > self.max_registers:
            raise ValueError(f"a block is longer than max_registers = {self.max_registers}")
        for item in self.identity:
            if item.count == self.power_block.count and (item.function or self.function) == self.function:
                raise ValueError(f"identity {item.name!r} has the count of the power block")
        return self

    @model_validator(mode="after")
    def _quantities_fit(self) -> "Profile":
        for name, quantity in self.quantities.present():
            phases = 3 if name in _PER_PHASE else 1
            if len(quantity.addresses) != phases:
                raise ValueError(f"{name}: {phases} addresses needed, got {len(quantity.addresses)}")
            try:
                block = self.block_of(quantity)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            if len(set(quantity.addresses)) != phases:
                raise ValueError(f"{name}: each phase needs an address of its own")
            if name in _IN_POWER_BLOCK and block is not self.power_block:
                raise ValueError(f"{name} must lie in the same block as power_w")
        return self


_FILES = ProfileFiles(Profile, "profiles", "meter profile")


def profile_names() -> tuple[str, ...]:
    """Names of the profiles that ship."""
    return _FILES.names()


def load_profile(name_or_path: str | Path) -> Profile:
    """A profile by its name, or from a file when the name ends in ``.toml``.

    Raises:
        ConfigError: unknown name, unreadable file, or a key that does not fit; names file, key and reason.
    """
    return _FILES.load(name_or_path)
