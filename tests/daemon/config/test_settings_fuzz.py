"""Damaged files: never a crash, never a limit wider than the hard caps."""

import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from core.limits import IMBALANCE_CAP_W, PHASE_CAP_W, STEP_CAP_W_PER_S
from daemon.config.consistency import KEEP_ALIVES_PER_TTL
from daemon.config.diagnostics import Problem
from daemon.config.settings import Settings, SettingsError, load_settings, parse_settings

FILES = int(os.environ.get("SUNKEEP_FUZZ_FILES", "2000"))
"""10,000 in the long form."""
FILE = Path("sunkeep.toml")
EXAMPLE = (Path(__file__).parents[3] / "docs" / "sunkeep.example.toml").read_bytes()
SEEDS = [line for line in EXAMPLE.splitlines(keepends=True) if line.split(b"#")[0].strip()]
_WORDS = (
    b"nan|-nan|inf|-inf|1e999|-1|0|true|'x'|\"\"|[]|{}|5000.0000001|1_000|0x1388|1979-05-27|07:32:00|"
    b'"""\n"""|[[[[|\x00|\xff|"\\ud800"|1e5|2000.1|1000.5|'
)
VALUES = [*_WORDS.split(b"|"), b"9" * 30, b"9" * 5000]


def mutated(rng: random.Random) -> bytes:
    """One to four random faults: values, keys, lines, bytes, the end."""
    lines = list(SEEDS)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        key, equals, _ = lines[at].partition(b"=")
        kind = rng.randrange(6)
        if kind == 0 and equals:
            lines[at] = key + b"= " + rng.choice(VALUES) + b"\n"
        elif kind == 1:
            del lines[at]
        elif kind == 2:
            lines.insert(at, rng.choice(SEEDS))
        elif kind == 3:
            position = rng.randrange(len(lines[at]))
            lines[at] = lines[at][:position] + bytes([rng.randrange(256)]) + lines[at][position + 1 :]
        elif kind == 4:
            lines[at] = lines[at].replace(b"0", rng.choice((b"00", b"9", b"")), 1)
        else:
            lines.append(b"[" * rng.choice((1, 2, 3000)) + key + b"]\n")
        if not lines:
            lines = [b"\n"]
    content = b"".join(lines)
    return content[: rng.randrange(len(content) + 1)] if rng.random() < 0.2 else content


def outcome(load: Callable[[], Settings]) -> tuple[Settings | None, tuple[Problem, ...]]:
    try:
        return load(), ()
    except SettingsError as error:
        return None, error.problems


def holds(settings: Settings) -> bool:
    limits = settings.core_limits()
    return (
        0.0 < limits.phase_max_w <= PHASE_CAP_W
        and 0.0 < limits.step_max_w_per_s <= STEP_CAP_W_PER_S
        and 0.0 < limits.imbalance_max_w <= IMBALANCE_CAP_W
        and all(0 <= slave.min_w <= slave.max_w <= PHASE_CAP_W for slave in settings.core_site().slaves)
        and settings.radio.ttl_s >= KEEP_ALIVES_PER_TTL * settings.radio.airtime.keep_alive_s
        and settings.status.host in ("127.0.0.1", "::1")
        and settings.plan(b"") is not None
    )


def test_damaged_files_are_refused_in_words_or_hold(tmp_path: Path) -> None:
    rng = random.Random(20261120)
    path = tmp_path / "sunkeep.toml"
    accepted = refused = 0
    for _ in range(FILES):
        content = mutated(rng)
        path.write_bytes(content)
        settings, problems = outcome(partial(load_settings, path, key=False))
        if settings is not None:
            accepted += 1
            assert holds(settings), content
            continue
        refused += 1
        assert problems, content
        for problem in problems:
            assert 1 <= problem.line <= content.count(b"\n") + 1, content
            assert problem.reason, content
            assert problem.advice, content
            assert str(problem).isprintable(), content
    assert accepted > FILES // 50  # the faults are not so gross that nothing subtle is tried
    assert refused > FILES // 2


def test_a_file_cut_at_any_byte_is_refused_or_holds() -> None:
    text = b"".join(SEEDS).decode()
    for end in range(len(text)):
        settings, problems = outcome(partial(parse_settings, text[:end], FILE))
        assert problems if settings is None else holds(settings)


def test_every_typo_of_a_key_is_refused() -> None:
    """Swapped, doubled, dropped characters of every key."""
    text = b"".join(SEEDS).decode()
    lines = text.splitlines(keepends=True)
    tried = 0
    for at, line in enumerate(lines):
        key, equals, rest = line.partition("=")
        key = key.strip()
        if not equals:
            continue
        typos = {key[:i] + key[i + 1] + key[i] + key[i + 2 :] for i in range(len(key) - 1)}
        typos |= {key[:i] + key[i] + key[i:] for i in range(len(key))}
        typos |= {key[:i] + key[i + 1 :] for i in range(len(key)) if len(key) > 1}
        for typo in sorted(typos - {key}):
            if typo in text.split():
                continue
            tried += 1
            damaged = "".join([*lines[:at], f"{typo} ={rest}", *lines[at + 1 :]])
            settings, problems = outcome(partial(parse_settings, damaged, FILE))
            assert settings is None, f"{typo} was accepted"
            assert any(problem.line == at + 1 for problem in problems) or key == "type", typo
    assert tried > 200
