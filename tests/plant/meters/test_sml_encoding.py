"""The far end writes SML as the standard says and as a meter does."""

import pytest

from plant.meters import sml_encoding as sml

OPENING = "76040000016200620072650000010176010107000002dba23c0b0a01484c5902000424a0010163945b00"
"""As a Holley meter sent it (published with the tests of smllib 1.7)."""


def test_a_message_is_what_a_meter_sends() -> None:
    content = sml.sequence(
        sml.ABSENT,
        sml.ABSENT,
        sml.octets(bytes.fromhex("000002dba23c")),
        sml.octets(bytes.fromhex("0a01484c5902000424a0")),
        sml.ABSENT,
        sml.ABSENT,
    )
    assert sml.message(bytes((0, 0, 1)), sml.OPEN_RESPONSE, content).hex() == OPENING


@pytest.mark.parametrize(("kermit", "check"), [(False, "6e90"), (True, "2189")])
def test_the_checksums_are_the_published_ones(kermit: bool, check: str) -> None:
    assert sml.checksum(b"123456789", kermit).hex() == check  # 0x906E low byte first, 0x2189 high byte first


@pytest.mark.parametrize(
    ("length", "tag"), [(0, "01"), (14, "0f"), (15, "8101"), (253, "8f0f"), (254, "818001"), (4000, "8f8a03")]
)
def test_long_strings_count_their_own_tag(length: int, tag: str) -> None:
    item = sml.octets(bytes(length))
    assert item.hex()[: len(tag)] == tag
    assert len(item) == length + len(tag) // 2


def test_a_long_list_counts_its_elements() -> None:
    assert sml.sequence(*[sml.ABSENT] * 20) == b"\xf1\x04" + sml.ABSENT * 20


def test_numbers_have_their_sign_and_their_width() -> None:
    assert sml.signed(-2, 1).hex() == "52fe"
    assert sml.signed(-1104, 4).hex() == "55fffffbb0"
    assert sml.unsigned(65535, 2).hex() == "63ffff"


@pytest.mark.parametrize("size", range(5))
def test_a_telegram_is_filled_and_escaped(size: int) -> None:
    written = sml.telegram(sml.ESCAPE + bytes(size))
    assert len(written) % 4 == 0
    assert written[:16] == sml.BEGIN + 2 * sml.ESCAPE
    assert written[-8:-2] == sml.ESCAPE + bytes((0x1A, -size % 4))
