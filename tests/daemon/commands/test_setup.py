"""`sunkeep setup` on a simulated site with a blank stick and slaves that wait to join."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import click
import pytest
from click.testing import CliRunner

from daemon.__main__ import main
from daemon.commands.installing import setup as setup_command
from daemon.commands.installing.setup import Questions
from daemon.commissioning import preflight
from daemon.commissioning.known_devices import known_devices
from daemon.commissioning.site_answers import DRAFT_FILE, Answers, load_draft, read_answers
from daemon.commissioning.site_setup import SiteSetup
from daemon.config.settings import load_settings
from daemon.errors import InputError
from tests.support.configuration import write_configuration


@contextmanager
def far_end(folder: Path) -> Iterator[str]:
    """A blank stick, a meter and two slaves in a process of their own; gives the file of answers."""
    command = [sys.executable, "-m", "daemon", "plant", "--uncommissioned", "--slaves", "2"]
    command += ["--meter-port", "0", "--radio-port", "0", "--write-config", str(folder)]
    with Popen(command, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            facts: dict[str, str] = {}
            slaves = []
            for line in iter(process.stdout.readline, ""):
                words = line.split()
                facts[words[0]] = words[1]
                if words[0] == "slave":
                    slaves.append((int(words[2]), words[3], words[4]))
                if words[0] == "day":
                    break
            yield "".join(
                [
                    '[site]\nname = "Haus Süd"\ntimezone = "Europe/Berlin"\n',
                    f'[meter]\nhost = "127.0.0.1"\nport = {facts["meter"].rsplit(":", 1)[1]}\n',
                    f'[radio]\npath = "{facts["radio"]}"\n',
                    "[end]\nmeasure = false\nstart = false\n",
                    *(
                        f'[[slaves]]\nname = "boiler {slot}"\nslot = {slot}\nphases = "{"abc"[slot]}"\n'
                        f'max_w = 1700\nieee = "{ieee}"\ninstall_code = "{code}"\n'
                        for slot, ieee, code in slaves
                    ),
                ]
            )
        finally:
            process.terminate()


@pytest.fixture
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No service, and the usual port of the page may be taken by a neighbour."""
    monkeypatch.setattr(setup_command, "stopped_daemon", lambda: None)
    monkeypatch.setattr(preflight, "_free_port", lambda host, port: "free")


@pytest.mark.slow
def test_one_file_of_answers_makes_a_running_site_and_may_be_repeated(
    tmp_path: Path, quiet_machine: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, state = tmp_path / "etc" / "sunkeep.toml", tmp_path / "state"
    answers = tmp_path / "answers.toml"
    words = ["setup", "--config", str(config), "--state", str(state), "--answers", str(answers)]
    words += ["--ask-seconds", "10"]
    with far_end(tmp_path / "far") as text:
        answers.write_text(text)
        config.parent.mkdir()
        # simulated slaves have their key from the start; an installer carries it to real ones
        (config.parent / "site.key").write_text((tmp_path / "far" / "site.key").read_text())
        (config.parent / "site.key").chmod(0o600)
        assert main(words) == 0
        said = capsys.readouterr().out
        assert "Formed a network on channel 15." in said
        assert said.count("joined as 0x") == 2
        assert "ok    slaves   all answer" in said
        settings = load_settings(config)
        assert (settings.site.name, settings.mode.mode.value) == ("Haus Süd", "shadow")
        assert settings.meter.profile == "sdm630"
        assert len(known_devices(state / "zigbee.db", None)) == 2
        assert not (config.parent / DRAFT_FILE).exists()
        before = config.read_bytes()
        monkeypatch.setattr(SiteSetup, "try_wires", lambda self, ask_s: [])  # tried above, ten seconds long
        assert main(words) == 0
        said = capsys.readouterr().out
        assert "stays as it is" in said
        assert "has a network already, and keeps it" in said
        assert "joined" not in said
        assert config.read_bytes() == before


ANSWERS = """\
[site]
name = "Home"
timezone = "UTC"
[meter]
host = "127.0.0.1"
port = 1
[radio]
path = "/dev/absent"
[[slaves]]
name = "boiler"
slot = 0
phases = "a"
max_w = 1700
"""


def test_a_meter_that_is_not_there_is_named_and_nothing_is_written(
    tmp_path: Path, quiet_machine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text(ANSWERS)
    config = tmp_path / "etc" / "sunkeep.toml"
    assert main(["setup", "--config", str(config), "--answers", str(answers)]) == 2
    said = capsys.readouterr().err
    assert "No known meter answers there" in said
    assert "sunkeep meter probe --host 127.0.0.1 --port 1" in said
    assert not config.exists()


def test_a_key_is_made_once_and_what_fails_is_said(
    tmp_path: Path, quiet_machine: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text(ANSWERS)
    lines = [
        "[meter]",
        'profile = "sdm630"',
        "[meter.transport]",
        'type = "tcp"',
        'host = "127.0.0.1"',
        "device_id = 1",
    ]
    monkeypatch.setattr(setup_command, "find_meter", lambda *place: lines)
    config, state = tmp_path / "etc" / "sunkeep.toml", tmp_path / "state"
    words = ["setup", "--config", str(config), "--state", str(state), "--answers", str(answers)]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "Every slave needs it" in said
    assert "FAILS radio port: /dev/absent is not there. Plug it in" in said
    key = (config.parent / "site.key").read_bytes()
    assert (state / "frame-counter").exists()
    assert main(words) == 1
    assert "Every slave needs it" not in capsys.readouterr().out
    assert (config.parent / "site.key").read_bytes() == key


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[site]\nname = "x"\n', "lacks site.timezone, meter.host or meter.serial, radio.path, slaves"),
        (
            ANSWERS + 'ieee = "00:12:4b:00:00:4f:5e:00"\n',
            "slaves.0: address and install code belong together",
        ),
        (ANSWERS + "colour = 1\n", "slaves.0.colour: Extra inputs are not permitted"),
        (ANSWERS.replace("1700", '"much"'), "slaves.0.max_w"),
        ("[site\n", "Correct the line"),
    ],
)
def test_answers_that_do_not_fit_are_refused(
    text: str, words: str, tmp_path: Path, quiet_machine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text(text)
    config = tmp_path / "etc" / "sunkeep.toml"
    assert main(["setup", "--config", str(config), "--answers", str(answers)]) == 2
    assert words in capsys.readouterr().err
    assert not config.exists()


def test_a_contradiction_is_told_by_its_key(tmp_path: Path) -> None:
    text = ANSWERS + '[[slaves]]\nname = "boiler"\nslot = 0\nphases = "b"\nmax_w = 1700\n'
    (tmp_path / "a.toml").write_text(text)
    answers = read_answers(tmp_path / "a.toml")
    answers.meter.lines = ["[meter]", 'profile = "sdm630"', "[meter.transport]", 'type = "tcp"', 'host = "x"']
    setup = SiteSetup(tmp_path / "sunkeep.toml", lambda line: None)
    with pytest.raises(InputError, match="do not fit together"):
        setup.write_configuration(answers, tmp_path)
    assert not (tmp_path / "sunkeep.toml").exists()


TYPED = ["Home", "UTC", "/dev/stick", "network", "192.168.1.20", "boiler", "0", "a", "3000", "", "", "n"]


@pytest.mark.parametrize("answered", range(len(TYPED) + 1))
def test_whatever_was_answered_outlives_an_interrupt(answered: int, tmp_path: Path) -> None:
    """Ctrl-C and a lost line end the input anywhere; the next run asks the rest alone."""

    def ask(lines: list[str]) -> tuple[bool, int]:
        with CliRunner().isolation("".join(f"{line}\n" for line in lines)) as streams:
            try:
                Questions(load_draft(tmp_path), tmp_path).ask()
            except click.Abort:
                return False, 0
            return True, len(streams[0].getvalue())

    whole, _ = ask(TYPED[:answered])
    assert whole == (answered == len(TYPED))
    kept = load_draft(tmp_path)
    done = [kept.site.name, kept.site.timezone, kept.radio.path, kept.meter.host]
    assert done == [
        "Home" if answered > 0 else None,
        "UTC" if answered > 1 else None,
        "/dev/stick" if answered > 2 else None,
        "192.168.1.20" if answered > 4 else None,
    ]
    assert len(kept.slaves) == (answered > 10)
    rest = TYPED[[0, 1, 2, 3, 3, 5, 5, 5, 5, 5, 5, 11, 11][answered] :]
    assert ask(rest)[0]
    assert load_draft(tmp_path).slaves[0].name == "boiler"
    if answered:
        assert (tmp_path / DRAFT_FILE).stat().st_mode & 0o777 == 0o600


def test_a_draft_that_is_damaged_is_none(tmp_path: Path) -> None:
    (tmp_path / DRAFT_FILE).write_text(json.dumps({"other": 1}))
    assert load_draft(tmp_path) == Answers()


@pytest.mark.parametrize(("measure", "typed", "expected"), [
    (True, "", [("boiler", "charger")]),
    (False, "", []),
    (None, "n\n", []),
    (None, "\n", [("boiler", "charger")]),
])  # fmt: skip
def test_slaves_are_measured_when_that_is_wanted_and_a_refusal_stops_nothing(
    measure: bool | None,
    typed: str,
    expected: list[tuple[str, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = write_configuration(tmp_path)
    asked: list[tuple[str, ...]] = []

    def refuse(names: tuple[str, ...], config: Path, yes: bool, as_json: bool) -> int:
        assert yes
        asked.append(names)
        raise InputError("Nothing is left to be switched.")

    monkeypatch.setattr(setup_command, "commission", click.Command("commission", callback=refuse))
    answers = Answers.model_validate({"end": {"measure": measure}})
    with CliRunner().isolation(typed), click.Context(click.Command("setup")):
        setup_command._measure(SiteSetup(config, click.echo), answers)
    assert asked == expected
