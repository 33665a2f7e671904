"""Decoding registers: every type, both word orders, sentinels, powers of ten."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.meters.profile import Profile
from drivers.meters.registers import BlockDecoder

FORMATS = {"f32": ">f", "i16": ">h", "u16": ">H", "i32": ">i", "u32": ">I", "i64": ">q", "u64": ">Q"}


def profile(kind: str, order: str = "big", **quantity: object) -> Profile:
    width = struct.calcsize(FORMATS[kind]) // 2
    return Profile.model_validate(
        {
            "title": "t",
            "source": "s",
            "verified": "v",
            "function": 3,
            "word_order": order,
            "max_registers": 20,
            "sentinels": {"i32": [0x7FFFFFFF]},
            "blocks": [{"address": 100, "count": 16}],
            "quantities": {
                "power_w": {"addresses": [100 + i * width for i in range(3)], "type": kind} | quantity
            },
        }
    )


def registers(kind: str, values: tuple[float, ...], order: str = "big") -> list[int]:
    words: list[int] = []
    for value in values:
        data = struct.pack(FORMATS[kind], value)
        one = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
        words += one if order == "big" else one[::-1]
    return words + [0] * (16 - len(words))


def power(of: Profile, words: list[int]) -> tuple[float | None, ...]:
    return BlockDecoder(of, of.power_block).decode(words)["power_w"]


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("kind", [k for k in FORMATS if k != "f32"])
@given(data=st.data())
def test_integers_come_back(kind: str, order: str, data: st.DataObject) -> None:
    bits = 8 * struct.calcsize(FORMATS[kind])
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 2) if kind[0] == "i" else (0, 2**bits - 1)
    a, b, c = (data.draw(st.integers(low, high)) for _ in range(3))
    read = power(profile(kind, order, scale=0.1), registers(kind, (a, b, c), order))
    assert read == pytest.approx((0.1 * a, 0.1 * b, 0.1 * c))


@pytest.mark.parametrize("order", ["big", "little"])
@given(values=st.tuples(*[st.floats(width=32)] * 3))
def test_floats_come_back_or_are_nothing(order: str, values: tuple[float, ...]) -> None:
    read = power(profile("f32", order), registers("f32", values, order))
    for value, told in zip(values, read, strict=True):
        assert told == value if abs(value) < float("inf") else told is None


@given(words=st.lists(st.integers(0, 0xFFFF), min_size=16, max_size=16))
def test_no_registers_decode_to_something_that_is_not_a_number(words: list[int]) -> None:
    for kind in FORMATS:
        told = power(profile(kind, exponent=115), words)
        assert all(value is None or abs(value) < float("inf") for value in told)


def test_a_sentinel_is_nothing() -> None:
    assert power(profile("i32"), registers("i32", (1, 0x7FFFFFFF, -1))) == (1.0, None, -1.0)


@pytest.mark.parametrize(("exponent", "told"), [(-2, 1.23), (0, 123.0), (3, 123_000.0), (-0x8000, None)])
def test_a_power_of_ten(exponent: int, told: float | None) -> None:
    words = registers("i16", (123, 0, 0))
    words[10] = exponent & 0xFFFF
    (first, *_) = power(profile("i16", exponent=110), words)
    assert first == (None if told is None else pytest.approx(told))


def test_the_wrong_number_of_registers_is_an_error() -> None:
    with pytest.raises(struct.error):
        power(profile("i16"), [0] * 15)
