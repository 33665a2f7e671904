"""Every shell command on a page is listed with the test that runs it, and has only options that exist."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from daemon.cli.command_line import TRAINING_COMMANDS, sunkeep

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")),
        ROOT / "firmware" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)
TABLE = tomllib.loads((Path(__file__).parent / "commands.toml").read_text())
REASONS = {"hardware", "system", "long"}
SHELL_WORDS = {"cd", "export", "for", "do", "done", "in"}
"""Words of the shell itself."""
FENCE = re.compile(r"^\s*(```+|~~~+)\s*(\w*)")


def blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Fenced code: its language, and its lines."""
    language, lines, is_open = "", list[str](), False
    for line in text.splitlines():
        fence = FENCE.match(line)
        if fence and is_open:
            yield language, lines
            is_open = False
        elif fence:
            language, lines, is_open = fence[2], [], True
        elif is_open:
            lines.append(line.strip())


def shell_lines(text: str) -> Iterator[str]:
    """What is typed: every line of `sh`, and those of `console` that begin with a prompt."""
    for language, lines in blocks(text):
        if language == "sh":
            yield from "\n".join(lines).replace("\\\n", " ").split("\n")
        elif language == "console":
            yield from (line[2:] for line in lines if line.startswith("$ "))


def commands(text: str) -> Iterator[list[str]]:
    """The words of single commands, without comments, sudo, variables and where their output goes."""
    for line in shell_lines(text):
        plain = re.sub(r"\s#.*$", "", f" {line}")
        for part in re.split(r"&&|;|\||&", plain):
            words = shlex.split(re.sub(r">\s*\S+", "", part))
            while words and (words[0] in {"sudo", "do"} or re.match(r"^\w+=", words[0])):
                words = words[3:] if words[:2] == ["sudo", "-u"] else words[1:]
            if words and words[0] not in SHELL_WORDS:
                yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


FOUND = [(page, words) for page in PAGES for words in commands(page.read_text())]
"""Every command, with its page."""


def entry(words: list[str]) -> str | None:
    """The longest entry of the table that the command begins with."""
    listed = [*TABLE["run_by"], *TABLE["not_run"]]
    fitting = [name for name in listed if name.split() == words[: len(name.split())]]
    return max(fitting, key=len, default=None)


def test_commands_are_found() -> None:
    assert len(FOUND) > 100
    assert ["sunkeep", "zigbee", "form", "--config", "/etc/sunkeep/sunkeep.toml"] in [w for _, w in FOUND]
    text = "```sh\nsudo -u sunkeep A=1 sunkeep ack x && make test  # y\n```\n```console\n$ ls > z\nout\n```\n"
    assert list(commands(text)) == [["sunkeep", "ack", "x"], ["make", "test"], ["ls"]]


def test_every_command_is_listed() -> None:
    unlisted = {f"{page.name}: {' '.join(words)}" for page, words in FOUND if entry(words) is None}
    assert not unlisted, "list them in tests/docs/commands.toml"


def test_every_entry_stands_on_a_page() -> None:
    used = {entry(words) for _, words in FOUND}
    assert not {*TABLE["run_by"], *TABLE["not_run"]} - used
    assert set(TABLE["not_run"].values()) <= REASONS


@pytest.mark.parametrize(("command", "place"), sorted(TABLE["run_by"].items()))
def test_the_test_that_runs_it_exists(command: str, place: str) -> None:
    file, _, name = place.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    tests = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not name or name in tests
    if command.startswith("sunkeep "):
        said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        last = command.rsplit(maxsplit=1)[-1]
        assert last in said or last in re.findall(r"\w+", (ROOT / file).read_text()), command


def options_of(words: list[str]) -> set[str]:
    """Options of a `sunkeep` command, as click knows them."""
    group: click.Command = sunkeep
    for word in words[1:]:
        if not isinstance(group, click.Group):
            break
        found = group.get_command(click.Context(group), word)
        assert found is not None, " ".join(words)
        group = found
    return {name for parameter in group.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("words", [w for _, w in FOUND if w[0] == "sunkeep"], ids=" ".join)
def test_a_command_of_sunkeep_has_the_options_that_it_is_given(words: list[str]) -> None:
    if words[1] in TRAINING_COMMANDS:
        pytest.importorskip("torch", reason="commands of the training side need the extra train")
    given = {word.split("=")[0] for word in words if word.startswith("--")}
    assert given <= options_of(words)


def test_targets_of_make_exist() -> None:
    for page, words in FOUND:
        if words[0] == "make":
            place, rest = (ROOT / words[2], words[3:]) if words[1] == "-C" else (ROOT, words[1:])
            targets = re.findall(r"^([\w-]+):", (place / "Makefile").read_text(), re.MULTILINE)
            assert rest[0] in targets, f"{page.name}: {' '.join(words)}"


def test_modules_exist_and_know_their_options() -> None:
    for page, words in FOUND:
        if words[:2] != ["python", "-m"] or words[2] == "pytest":
            continue
        place = ROOT / words[2].replace(".", "/")
        source = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
        assert source.is_file(), f"{page.name}: {words[2]}"
        known = "".join(file.read_text() for file in source.parent.glob("*.py"))
        for word in words[3:]:
            assert not word.startswith("--") or f'"{word.split("=")[0]}"' in known, f"{page.name}: {words}"


def test_what_pytest_is_given_exists() -> None:
    for _, words in FOUND:
        for word in words[3:] if words[:3] == ["python", "-m", "pytest"] else ():
            assert not word.startswith("tests/") or (ROOT / word).exists(), word


def test_every_block_says_what_it_holds() -> None:
    """Without a language a command could hide from this test."""
    for page in PAGES:
        text = page.read_text()
        assert all(language for language, _ in blocks(text)), page.name
        indented = re.search(r"\n\n    (sunkeep|python|make|promtool) (?!.*```)", text)
        assert not indented, f"{page.name}: {indented}"
