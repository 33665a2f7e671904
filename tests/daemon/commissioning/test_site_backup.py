"""What a backup holds, how far counters leap, and what a damaged or foreign file can do."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.commissioning import sealed_file
from daemon.commissioning.keys import begin_state
from daemon.commissioning.sealed_file import SealError, seal, unseal
from daemon.commissioning.site_backup import Restoration, SiteBackup, outside, read_site_backup, take
from daemon.config.edit import with_value
from daemon.config.settings import load_settings
from daemon.errors import InputError
from daemon.runtime.state_directory import COUNTER_FILE
from drivers.zigbee.frame_counter import FrameCounter
from tests.support.configuration import write_configuration

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function at a thousandth of its cost."""
    monkeypatch.setattr(sealed_file, "COST_LOG2", 10)


def site(folder: Path) -> tuple[Path, SiteBackup]:
    folder.mkdir(exist_ok=True)
    config = write_configuration(folder)
    settings = load_settings(config)
    begin_state(settings.state.directory)
    (folder / "own-meter.toml").write_text("meter")
    for name in ("lock", "sunkeep-crash-1.txt", "sunkeep.log"):
        (settings.state.directory / name).write_text("passing")
    (folder / "sunkeep.example.toml").write_text("of the package")
    (settings.state.directory / "link").symlink_to("/etc/passwd")
    return config, take(settings, config, None, "1")


def test_it_holds_the_site_and_nothing_passing(tmp_path: Path) -> None:
    _, backup = site(tmp_path)
    held = {(file.place, file.name) for file in backup.files}
    assert held >= {
        ("configuration", "sunkeep.toml"),
        ("beside", "site.key"),
        ("beside", "own-meter.toml"),
        ("state", COUNTER_FILE),
    }
    names = {name for _, name in held}
    assert not names & {"lock", "sunkeep-crash-1.txt", "sunkeep.log", "link", "sunkeep.example.toml"}
    assert len(names) == len(backup.files)
    assert read_site_backup(backup.text()) == backup


def test_what_lies_elsewhere_is_named(tmp_path: Path) -> None:
    config, _ = site(tmp_path)
    elsewhere = tmp_path.parent / "elsewhere.key"
    settings = load_settings(config)
    radio = settings.radio.model_copy(update={"key_file": elsewhere})
    assert outside(settings, config) == []
    assert outside(settings.model_copy(update={"radio": radio}), config) == [elsewhere]


@pytest.mark.parametrize("age", [timedelta(0), timedelta(days=-3), timedelta(days=30), timedelta(days=900)])
def test_counters_leap_beyond_what_the_old_computer_can_have_sent(age: timedelta, tmp_path: Path) -> None:
    _, backup = site(tmp_path / "old")
    made = (NOW - age).isoformat()
    aged = backup.model_copy(update={"made_at_utc": made})
    restoration = Restoration(aged, tmp_path / "new" / "sunkeep.toml", aged.configuration())
    restoration.begin()
    restoration.lay_down()
    by = restoration.leap(NOW)
    assert by == 100_000 + max(0, age.total_seconds())
    assert FrameCounter.open(restoration.settings.state.directory / COUNTER_FILE).last >= by


def test_an_interrupted_restoration_is_repeated_and_another_one_refused(tmp_path: Path) -> None:
    _, backup = site(tmp_path / "old")
    place = tmp_path / "new" / "sunkeep.toml"

    def restoration(of: SiteBackup) -> Restoration:
        return Restoration(of, place, of.configuration())

    first = restoration(backup)
    first.begin()
    first.lay_down()  # and then the power fails
    other = backup.model_copy(update={"site_name": "Other"})
    with pytest.raises(InputError, match="nothing is overwritten"):
        restoration(other).begin()
    again = restoration(backup)
    again.begin()
    again.lay_down()
    again.leap(NOW)
    again.finish()
    assert load_settings(place).site.name == backup.site_name
    with pytest.raises(InputError, match="nothing is overwritten"):
        restoration(backup).begin()


@pytest.mark.parametrize("name", ["own-meter.toml", "state/frame-counter", "site.key", "sunkeep.toml"])
def test_nothing_that_is_there_is_overwritten(name: str, tmp_path: Path) -> None:
    _, backup = site(tmp_path / "old")
    there = tmp_path / "new" / name
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    restoration = Restoration(backup, tmp_path / "new" / "sunkeep.toml", backup.configuration())
    with pytest.raises(InputError, match="nothing is overwritten"):
        restoration.begin()
    assert there.read_text() == "mine"


def test_a_name_cannot_leave_its_folder(tmp_path: Path) -> None:
    _, backup = site(tmp_path)
    record = backup.model_dump()
    record["files"].append(
        {"place": "state", "name": "a/../../b", "content_base64": b64encode(b"x").decode()}
    )
    with pytest.raises(InputError, match="leaves its folder"):
        read_site_backup(SiteBackup.model_validate(record).text())
    with pytest.raises(InputError, match="of another version"):
        read_site_backup(b'{"schema_version": 2}')


def test_a_seal_opens_with_its_passphrase_alone() -> None:
    sealed = seal(b"content", "passphrase one")
    assert unseal(sealed, "passphrase one") == b"content"
    assert b"content" not in sealed
    with pytest.raises(SealError, match="does not open"):
        unseal(sealed, "passphrase two")


@pytest.mark.parametrize("at", range(0, 60, 3))
def test_a_changed_byte_is_noticed(at: int) -> None:
    sealed = bytearray(seal(b"content", "passphrase one"))
    sealed[at] ^= 1
    with pytest.raises(SealError):
        unseal(bytes(sealed), "passphrase one")


def test_a_file_cannot_ask_for_the_whole_machine() -> None:
    sealed = bytearray(seal(b"content", "passphrase one"))
    sealed[9] = 30  # a gigabyte is 20
    with pytest.raises(SealError, match="newer version, or is damaged"):
        unseal(bytes(sealed), "passphrase one")
    with pytest.raises(SealError, match="is no backup"):
        unseal(b"PK\3\4", "passphrase one")


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ('path = "/dev/a"  # the stick', 'path = "/dev/b"  # the stick'),
        ("path='/dev/a#1'", 'path="/dev/b"'),
        ('  path = "/dev/a \\" b"', '  path = "/dev/b"'),
    ],
)
def test_one_value_is_changed_and_nothing_else(line: str, changed: str) -> None:
    text = f'[site]\nname = "x"\n[radio]\n{line}\nchannel = 15\n'
    assert with_value(text, ("radio", "path"), '"/dev/b"') == text.replace(line, changed)


@pytest.mark.parametrize("text", ["[radio]\nchannel = 15\n", "radio = { path = 'x' }\n"])
def test_a_value_without_a_line_of_its_own_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"radio\.path has no line of its own"):
        with_value(text, ("radio", "path"), '"x"')
