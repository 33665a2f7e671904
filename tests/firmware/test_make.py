"""The reference slave's own tests, as a firmware author runs them."""

import re
import shutil
from pathlib import Path

import pytest

from tests.firmware.c_core import FOLDER, make


def test_its_own_tests_pass_plain_and_sanitized(tmp_path: Path) -> None:
    said = make("test", tmp_path)
    assert said.count("sha256: 65 short messages, 100 Monte Carlo, a million times 'a', 6 HMAC") == 2
    assert said.count("slave: 42 setpoints, 18 rejected frames, 5 reports of the published vectors") == 2
    assert re.search(r"fuzz target: \d+ files", said)


@pytest.mark.skipif(shutil.which("clang") is None, reason="libFuzzer comes with clang")
def test_fuzzing_finds_nothing_in_a_short_while(tmp_path: Path) -> None:
    said = make("fuzz", tmp_path, FUZZ_S="5")
    (runs,) = re.findall(r"number_of_executed_units: (\d+)", said)
    assert int(runs) > 500
    assert not list((tmp_path / "found").iterdir())


@pytest.mark.skipif(shutil.which("clang") is None, reason="libFuzzer comes with clang")
@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("frame->counter > slave->counter", "frame->counter >= slave->counter"),
        ("frame->ttl_s <= SUNKEEP_TTL_MAX_S", "frame->ttl_s <= 255u"),
        ("slave->now_ms >= slave->deadline_ms", "false"),
    ],
)
def test_fuzzing_finds_a_rule_that_is_broken(tmp_path: Path, rule: str, broken: str) -> None:
    copy = tmp_path / "firmware"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("build"))
    shutil.copytree(FOLDER.parent / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("images"))
    source = copy / "src" / "slave.c"
    text = source.read_text()
    assert text.count(rule) == 1
    source.write_text(text.replace(rule, broken))
    with pytest.raises(AssertionError, match="does not hold"):
        make("fuzz", tmp_path / "build", folder_of=copy, FUZZ_S="60")


def test_the_core_asks_for_no_heap_no_clock_no_system() -> None:
    """All that it includes is what C promises without an operating system, and `string.h`."""
    allowed = {"stdbool.h", "stddef.h", "stdint.h", "string.h", "sha256.h", "setpoint_frame.h", "slave.h"}
    for source in (FOLDER / "src").iterdir():
        text = source.read_text()
        assert set(re.findall(r'#include [<"](.+)[>"]', text)) <= allowed
        assert not re.search(r"\b(malloc|calloc|realloc|free|time|rand)\(", text.replace("port.random(", ""))
        assert text.startswith("/* SPDX-License-Identifier: GPL-3.0-or-later")
