"""What SML telegrams say, and what is not believed of them."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.meters.sml import Sml
from drivers.meters.telegram_parser import LONGEST, Splitter, Telegram, UnsupportedMeterError
from plant.meters import sml_encoding as sml
from plant.meters.layouts import MeterState
from plant.meters.sml_meter import SERVER_ID, SmlMeter, entry, power

HOUSE = MeterState((1500.0, -2500.3, 320.0), (231.0, 229.4, 233.0), import_wh=1_234_000.0, export_wh=77_000.0)
PHASES = (36, 56, 76)


def meter(state: MeterState = HOUSE) -> SmlMeter:
    return SmlMeter(lambda: state, lambda: 4711.0)


def wrapped(*entries: bytes, server: bytes = SERVER_ID) -> bytes:
    """A telegram with these entries alone."""
    content = sml.sequence(
        sml.ABSENT, sml.octets(server), sml.ABSENT, sml.ABSENT, sml.sequence(*entries), sml.ABSENT, sml.ABSENT
    )
    return sml.telegram(sml.message(b"\x01", sml.GET_LIST_RESPONSE, content))


def phases(power_w: float = 100.0, scaler: int = -1) -> list[bytes]:
    return [power(code, power_w, scaler) for code in PHASES]


def told(data: bytes) -> Telegram:
    telegram = Sml().parse(data)
    assert telegram is not None
    return telegram


def test_a_telegram_says() -> None:
    telegram = told(meter().telegram())
    assert telegram.power_w == (1500.0, -2500.3, 320.0)
    assert telegram.total_power_w == -680.3
    assert telegram.voltage_v == (231.0, 229.4, 233.0)
    assert telegram.current_a == pytest.approx(HOUSE.current_a, abs=0.005)
    assert telegram.frequency_hz == 50.0
    assert telegram.import_wh == 1_234_000.0
    assert telegram.export_wh == 77_000.0
    assert telegram.identity == SERVER_ID


@pytest.mark.parametrize(("scaler", "told_w"), [(2, 1200.0), (0, 1235.0), (-1, 1234.6), (-3, 1234.567)])
def test_the_scale_is_a_power_of_ten(scaler: int, told_w: float) -> None:
    assert told(wrapped(*phases(1234.567, scaler))).power_w == (told_w,) * 3


def test_without_a_total_the_phases_are_added_and_tariffs_are_counters() -> None:
    tariffs = [
        entry((1, 8, 1, 255), sml.unsigned(70, 2), 30, 0),
        entry((1, 8, 2, 255), sml.unsigned(5, 2), 30),
    ]
    telegram = told(wrapped(*phases(-250.0), *tariffs))
    assert telegram.total_power_w == -750.0
    assert telegram.import_wh == 75.0
    assert telegram.export_wh is None
    assert (telegram.voltage_v, telegram.current_a, telegram.frequency_hz) == (None, None, None)


def test_a_meter_that_tells_the_total_alone_is_told_what_to_do() -> None:
    locked = meter()
    locked.faults.locked = True
    with pytest.raises(UnsupportedMeterError, match=r"PIN .* InF = On"):
        Sml().parse(locked.telegram())
    with pytest.raises(UnsupportedMeterError):
        Sml().parse(wrapped(*phases()[:2]))


def test_a_meter_whose_sign_cannot_be_trusted_is_refused() -> None:
    with pytest.raises(UnsupportedMeterError, match="of DZG"):
        Sml().parse(wrapped(*phases(), server=SERVER_ID.replace(b"SKP", b"DZG")))


@pytest.mark.parametrize(
    "strange",
    [
        entry((16, 7, 0, 255), sml.signed(1500, 4), 30, -1),
        entry((16, 7, 0, 255), sml.signed(1500, 4)),
        entry((16, 7, 0, 255), sml.signed(1500, 4), 27, 12),
        entry((16, 7, 0, 255), sml.octets(b"1500"), 27, 0),
        entry((16, 7, 0, 255), b"\x42\x01", 27, 0),
        entry((16, 7, 0, 255), sml.signed(1 << 80, 12), 27, 0),
        entry((16, 7, 0, 255), sml.ABSENT, 27, 0),
        entry((52, 7, 0, 255), sml.unsigned(2300, 2), 27, -1),
    ],
    ids=["Wh", "no unit", "scale", "text", "boolean", "wide", "absent", "volts in W"],
)
def test_one_value_that_is_not_understood_spoils_the_telegram(strange: bytes) -> None:
    assert Sml().parse(wrapped(*phases())) is not None
    assert Sml().parse(wrapped(*phases(), strange)) is None


def test_other_channels_are_not_taken_for_these() -> None:
    """The last value of a period (*1), and the same quantity of another meter (1-1)."""
    other = entry((36, 7, 0, 1), sml.signed(9, 4), 27, 0)
    elsewhere = other.replace(bytes((7, 1, 0, 36, 7, 0, 1)), bytes((7, 1, 1, 36, 7, 0, 255)))
    assert elsewhere != other
    assert told(wrapped(*phases(), other, elsewhere)).power_w == (100.0,) * 3


def test_whole_amperes_are_too_coarse() -> None:
    whole = [entry((code, 7, 0, 255), sml.unsigned(3, 1), 33, 0) for code in (31, 51, 71)]
    assert told(wrapped(*phases(), *whole)).current_a is None


def test_fractions_of_a_watt_show_a_frozen_meter_and_whole_watts_do_not() -> None:
    def raws(scaler: int) -> set[tuple[int, ...]]:
        sender = replace(meter(), scaler=scaler)
        found = set()
        for sender.sent in range(3):
            found.add(told(sender.telegram()).raw)
        return found

    assert len(raws(-1)) == 1
    assert len(raws(0)) == 3


def test_the_first_checksum_that_holds_stays() -> None:
    language, usual, holley = Sml(), meter().telegram(), replace(meter(), kermit=True).telegram()
    assert language.parse(holley) is not None
    assert language.parse(usual) is None
    assert language.parse(holley) is not None


@given(at=st.integers(8, len(meter().telegram()) - 1), flip=st.integers(1, 255))
def test_any_damaged_byte_is_noticed(at: int, flip: int) -> None:
    good = meter().telegram()
    language = Sml()
    assert language.parse(good) is not None
    assert language.parse(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :]) is None


@given(data=st.binary(max_size=300))
def test_noise_says_nothing(data: bytes) -> None:
    assert Sml().parse(data) is None


def harmless(data: bytes) -> None:
    try:
        telegram = Sml().parse(data)
    except UnsupportedMeterError:
        return
    if telegram is not None:
        assert all(map(math.isfinite, (*telegram.power_w, telegram.total_power_w)))


@given(data=st.binary(max_size=200))
def test_what_passes_the_checksum_and_is_no_sml_does_no_harm(data: bytes) -> None:
    harmless(sml.telegram(data))


@given(at=st.integers(0, 380), new=st.binary(min_size=1, max_size=6), cut=st.integers(0, 6))
def test_a_changed_telegram_with_a_right_checksum_does_no_harm(at: int, new: bytes, cut: int) -> None:
    content = meter().telegram()[8:-8]
    harmless(sml.telegram(content[:at] + new + content[at + cut :]))


@pytest.mark.parametrize(
    "bomb",
    [b"\xff" * 7 + b"\x7f", b"\x71" * 5000, (b"\x7f" + b"\x50" * 14) * 300],
    ids=["wide", "deep", "many"],
)
def test_a_telegram_made_to_exhaust_the_reader_does_not(bomb: bytes) -> None:
    assert Sml().parse(sml.telegram(b"\x76" + bomb)) is None


@given(
    cuts=st.lists(st.integers(0, 2000), max_size=20), lost=st.integers(0, 300), noise=st.binary(max_size=50)
)
def test_telegrams_are_found_however_the_bytes_arrive(cuts: list[int], lost: int, noise: bytes) -> None:
    """Joined in the middle of a telegram; garbage; one cut off; two whole ones."""
    one, two, three = (wrapped(*phases(power_w)) for power_w in (1.0, 2.0, 3.0))
    noise = noise.replace(b"\x1b", b"\x1c")
    stream = one[lost % len(one) + 1 :] + two + noise + one[: len(one) // 2] + three
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    splitter = Splitter(Sml.start, Sml.end)
    language = Sml()
    found = [t for i, j in pairwise(edges) for t in splitter.feed(stream[i:j])]
    assert [t.power_w[0] for t in map(language.parse, found) if t is not None] == [2.0, 3.0]


def test_marks_inside_a_value_are_escaped() -> None:
    """The begin and the end of a telegram, as the content of a text."""
    text = entry((96, 50, 1, 1), sml.octets(sml.BEGIN + sml.ESCAPE + b"\x1a\x00ab"))
    (found,) = Splitter(Sml.start, Sml.end).feed(wrapped(*phases(), text))
    assert told(found).power_w == (100.0,) * 3


def test_endless_noise_takes_no_more_memory() -> None:
    splitter = Splitter(Sml.start, Sml.end)
    for _ in range(20):
        assert splitter.feed(sml.BEGIN + bytes(LONGEST)) == []
    assert len(splitter._buffer) == LONGEST
    assert len(splitter.feed(wrapped(*phases()))) == 1
