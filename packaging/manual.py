"""The manual page and the completion of bash, from the commands themselves."""

from collections.abc import Iterator

import click
from click.shell_completion import BashComplete

from daemon.cli.command_line import COMMANDS, sunkeep

INTRODUCTION = """\
Sunkeep reads the three-phase meter at the grid connection once a second, decides how much power the
controllable devices of the house should take, and tells them over Zigbee, so that as little as possible flows
out to the grid. The daemon runs as the service sunkeep.service; this command sets it up and looks
after it."""
FILES = (
    (
        "/etc/sunkeep/sunkeep.toml",
        "The configuration; every key is explained in sunkeep.example.toml beside it.",
    ),
    ("/etc/sunkeep/site.key", "The key that authenticates setpoint frames."),
    ("/var/lib/sunkeep", "State: counters, the radio's network, totals, policies, the journal."),
    ("/usr/share/sunkeep/dashboards", "A dashboard for Grafana and alerts for Prometheus."),
    ("/usr/share/doc/sunkeep", "The pages for operators."),
)
STATUSES = (
    ("0", "Done."),
    ("1", "Done, and the answer is no."),
    ("2", "Usage or input."),
    ("70", "A fault of the program."),
    ("78", "The configuration is refused."),
    ("130", "Interrupted."),
)


def manual(version: str, date: str) -> str:
    """The page sunkeep(1) in roff."""
    lines = [
        f'.TH SUNKEEP 1 "{date}" "Sunkeep {version}" "Sunkeep"',
        ".SH NAME",
        r"sunkeep \- keeps a site's solar power at home",
        ".SH SYNOPSIS",
        r".B sunkeep",
        r"\fICOMMAND\fR [\fIOPTIONS\fR]",
        ".SH DESCRIPTION",
        _plain(INTRODUCTION.replace("\n", " ")),
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        command = sunkeep.get_command(click.Context(sunkeep), name)
        assert command is not None
        lines += _command(command, f"sunkeep {name}")
    lines += [".SH FILES", *_terms(FILES), ".SH EXIT STATUS", *_terms(STATUSES)]
    return "\n".join(lines) + "\n"


def _command(command: click.Command, path: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from _command(inner, f"{path} {name}")
        return
    yield f".SS {path}"
    yield from (_plain(part) for part in _paragraphs(command.help or ""))
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield ".TP"
            value = (
                ""
                if parameter.is_flag
                else f" \\fI{_plain(parameter.make_metavar(click.Context(command)))}\\fR"
            )
            yield "\\fB" + _plain(", ".join(parameter.opts)) + "\\fR" + value
            yield _plain(parameter.help or "")


def _paragraphs(text: str) -> Iterator[str]:
    for at, paragraph in enumerate(text.split("\n\n")):
        if at:
            yield ".PP"
        yield " ".join(paragraph.split())


def _terms(rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for term, words in rows:
        yield from (".TP", f"\\fB{_plain(term)}\\fR", _plain(words))


def _plain(text: str) -> str:
    """Roff takes a backslash, a leading dot or apostrophe for its own; a hyphen is escaped to be copied."""
    if text == ".PP":
        return text
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def completion() -> str:
    """What bash loads to complete the command: it asks the command itself."""
    return BashComplete(sunkeep, {}, "sunkeep", "_SUNKEEP_COMPLETE").source()
