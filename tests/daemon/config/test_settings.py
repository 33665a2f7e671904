"""Every fault of a configuration is refused, with file, line, key, reason and what to do."""
# ruff: noqa: E501 - a table reads best with a row per line

from pathlib import Path

import pytest

from core.limits import IMBALANCE_CAP_W, PHASE_CAP_W, STEP_CAP_W_PER_S, ImbalanceOf, Limits
from core.modes import Mode, Window
from core.roles import Role
from core.site import Airtime, Metering, Site, Slave
from daemon.config.consistency import airtime_for, frames_for
from daemon.config.settings import SettingsError, load_settings, parse_settings, read_site_key
from tests.support.configuration import CONFIGURATION, write_configuration

ROOT = Path(__file__).parents[3]


def test_a_valid_file_becomes_the_values_of_core(tmp_path: Path) -> None:
    settings = load_settings(write_configuration(tmp_path))
    assert settings.core_site() == Site(
        slaves=(Slave(0, "boiler", 0, 3000), Slave(1, "charger", 1, 3600, 1380)),
        role=Role.ABSORB,
        metering=Metering.NET,
        period_s=1.0,
        airtime=Airtime(),
        limits=Limits(phase_max_w=4000.0),
    )
    plan = settings.plan(b"seed")
    assert plan.mode is Mode.AB
    assert plan.site_seed == b"seed"
    assert plan.schedule == (Window(frozenset({0, 6}), 22 * 60, 6 * 60 + 30),)
    assert settings.zone().key == "Europe/Berlin"
    assert settings.meter_timeout_s() == 0.3
    assert settings.radio.key_file == tmp_path / "site.key"
    assert settings.journal.directory == tmp_path / "journal"
    assert len(read_site_key(settings, tmp_path / "sunkeep.toml")) == 32


def test_the_example_loads_and_shows_every_default() -> None:
    path = ROOT / "docs" / "sunkeep.example.toml"
    settings = load_settings(path, key=False)
    bare = parse_settings(CONFIGURATION, path)
    for name in ("limits", "policy", "fallback", "anomaly", "journal", "state", "status"):
        if name != "limits":
            assert getattr(settings, name) == getattr(bare, name)
    assert settings.limits.model_dump() == {
        "phase_max_w": PHASE_CAP_W,
        "step_max_w_per_s": STEP_CAP_W_PER_S,
        "imbalance_max_w": IMBALANCE_CAP_W,
        "imbalance_of": ImbalanceOf.ACTION,
    }
    assert settings.radio.airtime == bare.radio.airtime
    text = path.read_text()
    for section in type(settings).model_fields.values():
        for key in getattr(section.annotation, "model_fields", {}):
            assert key in text


def refusals(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, Path("sunkeep.toml"))
    return str(caught.value).splitlines()


def changed(old: str, new: str) -> str:
    assert CONFIGURATION.count(old) >= 1
    return CONFIGURATION.replace(old, new, 1)


MODBUS = '[meter.transport]\ntype = "tcp"\nhost = "127.0.0.1"\nport = 1502'
METER = 'profile = "sdm630"\n' + MODBUS
P1 = '[meter.transport]\ntype = "p1"\npath = "/dev/ttyUSB0"\n'
SML = P1.replace("p1", "sml")

REFUSED = [
    ("phase_max_w = 4000", "phase_max_w = 5000.1", "6: limits.phase_max_w: 5000.1 is beyond the hard cap of 5000 W"),
    ("phase_max_w = 4000", "phase_max_w = inf", "6: limits.phase_max_w: inf is "),
    ("phase_max_w = 4000", "phase_max_w = nan", "6: limits.phase_max_w: nan is "),
    ("phase_max_w = 4000", "phase_max_w = 0", "6: limits.phase_max_w: 0 is too small. Write a value above 0."),
    ("phase_max_w = 4000", "phase_max_w = true", "6: limits.phase_max_w: true is not a number"),
    ("phase_max_w = 4000", 'phase_max_w = "4000"', "6: limits.phase_max_w: '4000' is not a number"),
    ("phase_max_w = 4000", "step_max_w_per_s = 1001", "6: limits.step_max_w_per_s: 1001 is beyond the hard cap"),
    ("phase_max_w = 4000", "imbalance_max_w = 2001", "6: limits.imbalance_max_w: 2001 is beyond the hard cap"),
    ("phase_max_w = 4000", 'imbalance_of = "x"', "6: limits.imbalance_of: 'x' is not a choice. Choose 'action' or 'grid'."),
    ("max_w = 3000", "max_pwoer = 3000", '22: slaves.0.max_pwoer: unknown key. Did you mean "max_w"?'),
    ("max_w = 3000", "max_w = 3000\nrgb = 1", "23: slaves.0.rgb: unknown key. Remove it; known here are dead_time_high_s, dead_time_s, dead_time_sd_s, driver, gain"),
    ("max_w = 3000", "", "18: slaves.0.max_w: is missing. Add max_w to [[slaves]]."),
    ("max_w = 3000", "max_w = 5001", "22: slaves.0.max_w: 5001 W is more than one phase carries, 5000 W. Lower it, or write phases"),
    ("max_w = 3000", "max_w = 15001", "22: slaves.0.max_w: 15001 is too large. Write at most 15000."),
    ("max_w = 3000", "max_w = 3", "22: slaves.0.max_w: 3 W is less than any such device draws; perhaps it is in kilowatts. Write watts: max_w = 3000."),
    ('phase = "a"', "", "18: slaves.0.phases: is missing: it says where the slave draws its power. Add phases"),
    ('phase = "a"', 'phase = "a"\nphases = "all"', "22: slaves.0.phases: says the same as phase"),
    ('phase = "a"', 'phases = "d"', "21: slaves.0.phases: 'd' is not a choice. Choose 'a', 'b', 'c' or 'all'."),
    ("max_w = 3000", "max_w = 3000\nlevels_w = [1000, 2000]", "23: slaves.0.levels_w: [1000, 2000] do not rise from above 0 to max_w"),
    ("max_w = 3000", "max_w = 3000\nlevels_w = [3000]\nmin_w = 3000", "24: slaves.0.min_w: has no meaning beside levels_w"),
    ("max_w = 3000", "max_w = 3000\nmin_on_s = 60", "23: slaves.0.min_on_s: a slave that moves freely from 0 W on is never switched"),
    ("max_w = 3000", "max_w = 3000\ndead_time_high_s = 2.0", "23: slaves.0.dead_time_high_s: there is no dead_time_s"),
    ("max_w = 3000", "max_w = 3000\ndead_time_s = 3.0\ndead_time_high_s = 2.0", "24: slaves.0.dead_time_high_s: it is below dead_time_s, 3 s"),
    ("max_w = 3000", "max_w = 3000\npriority = 0", "23: slaves.0.priority: 0 is too small. Write at least 1."),
    ("max_w = 3000", 'max_w = 3000\ndriver = "wifi"', "23: slaves.0.driver: 'wifi' is not a choice."),
    ("max_w = 3000", "max_w = 3000\ngain = 0", "23: slaves.0.gain: 0 is too small. Write a value above 0."),
    ("phase_max_w = 4000", "step_max_w_per_s = 200", "29: slaves.1.min_w: 1380 W is more than the step limit ever allows at once: 200 W per second, for 5 s, less 2 W are 998 W"),
    ("phase_max_w = 4000", "imbalance_max_w = 100", "29: slaves.1.min_w: 1380 W leave the phases apart by"),
    ("max_w = 3000", "max_w = 3000.5", "22: slaves.0.max_w: 3000.5 is not a whole number"),
    ('phase = "a"', 'phase = "A"', "21: slaves.0.phase: 'A' is not a choice. Choose 'a', 'b' or 'c'."),
    ("slot = 1", "slot = 0", '26: slaves.1.slot: slot 0 is taken by "boiler"'),
    ("slot = 1", "slot = 255", "26: slaves.1.slot: 255 is too large. Write at most 254."),
    ('"charger"', '"boiler"', '25: slaves.1.name: "boiler" is taken by another slave'),
    ("min_w = 1380", "min_w = 3700", "29: slaves.1.min_w: 3700 W is more than max_w, 3600 W"),
    ("phase_max_w = 4000", "phase_max_w = 1000", "29: slaves.1.min_w: 1380 W is more than limits.phase_max_w"),
    ("Europe/Berlin", "Mars/Olympus", "3: site.timezone: 'Mars/Olympus' is not a known time zone"),
    ("Europe/Berlin", "../../etc/passwd", "3: site.timezone: '../../etc/passwd' is not a known time zone"),
    ('name = "Home"', "period_s = 0.05", "2: site.period_s: 0.05 is too small. Write at least 0.1."),
    ('name = "Home"', "period_s = 11", "2: site.period_s: 11 is too large. Write at most 10."),
    ('name = "Home"', "export_cap_required = true", "2: site.export_cap_required: an export limit cannot be held"),
    ('name = "Home"', 'name = "a\\u001b[2J"', "2: site.name: 'a\\x1b[2J' holds characters that cannot be printed"),
    ('profile = "sdm630"', 'profile = "sdm630"\ntimeout_s = 0.5', "10: meter.timeout_s: 0.5 s, tried 2 times, does not fit"),
    ('type = "tcp"', "", '10: meter.transport: has no "type". Add type = "tcp" or type = "rtu" or type = "p1" or type = "sml".'),
    ('type = "tcp"', 'type = "rtu"', "10: meter.transport.path: is missing"),
    ('type = "tcp"', 'type = "udp"', "10: meter.transport: type 'udp' is not a choice. Choose 'tcp', 'rtu', 'p1', 'sml'."),
    ('profile = "sdm630"', "", "8: meter.profile: is missing: it says what the registers mean"),
    (MODBUS, P1 + 'baudrate = 9600', "13: meter.transport.baudrate: unknown key. Remove it; known here are path, type"),
    (METER, 'profile = "sdm630"\n' + P1, '9: meter.profile: has no meaning with type = "p1"'),
    (METER, "invert = true\n" + P1, '9: meter.invert: has no meaning with type = "p1"'),
    (METER, "timeout_s = 0.2\n" + P1, '9: meter.timeout_s: has no meaning with type = "p1"'),
    (MODBUS, SML + 'baudrate = 300', "13: meter.transport.baudrate: 300 is not a choice. Choose 9600, 19200"),
    (MODBUS, SML + 'stopbits = 2', "13: meter.transport.stopbits: unknown key. Remove it; known here are baudrate, path, type"),
    (METER, 'profile = "sdm630"\n' + SML, '9: meter.profile: has no meaning with type = "sml"'),
    (METER, "invert = true\n" + SML, '9: meter.invert: has no meaning with type = "sml"'),
    ("port = 1502", "port = 70000", "13: meter.transport.port: 70000 is too large"),
    ("port = 1502", 'stopbits = 1', "13: meter.transport.stopbits: unknown key. Remove it; known here are device_id, host, port, type"),
    ('path = "socket', 'ttl_s = 8\npath = "socket', "16: radio.ttl_s: 8 s is less than 3 keep-alives of 3 s"),
    ('path = "socket', 'channel = 27\npath = "socket', "16: radio.channel: 27 is too large. Write at most 26."),
    ('path = "socket', 'airtime = { keep_alive_s = 1.5 }\npath = "socket', "16: radio.airtime.keep_alive_s: 1.5 s is more often"),
    ('path = "socket', 'airtime = { burst_frames = 4 }\npath = "socket', "16: radio.airtime.burst_frames: 4 at once and 0.5"),
    ("127.0.0.1:6638", "192.168.1.5:6638", "16: radio.path: 192.168.1.5 is another machine, and a coordinator on a network"),
    ("socket://127.0.0.1:6638", "tcp://stick.local:6638", "16: radio.path: stick.local is another machine"),
    ("socket://127.0.0.1:6638", "rfc2217://[fe80::1]:6638", "16: radio.path: fe80::1 is another machine"),
    ("socket://127.0.0.1:6638", "socket://", "16: radio.path: an unnamed host is another machine"),
    ("socket://127.0.0.1:6638", "socket://127.0.0.1.example.com:1", "16: radio.path: 127.0.0.1.example.com is another"),
    ("socket://127.0.0.1:6638", "socket://[127.0.0.1:1", "16: radio.path: an unnamed host is another machine"),
    ('path = "socket', 'remote_coordinator = "yes"\npath = "socket', "16: radio.remote_coordinator: 'yes' is not a choice"),
    ('mode = "ab"', 'mode = "ab"\nrollout_percent = 101', "33: mode.rollout_percent: 101 is too large"),
    ('mode = "ab"', "mode = 1", "32: mode.mode: 1 is not a choice. Choose 'shadow', 'ab', 'rollout' or 'production'."),
    ('start = "22:00"', 'start = "22:60"', "35: mode.schedule.0.start: '22:60' is not a time of day"),
    ('start = "22:00"', 'start = "24:00"', "35: mode.schedule.0.start: a window cannot start at 24:00"),
    ('start = "22:00"', "start = 22:00:00", "35: mode.schedule.0.start: "),
    ('end = "06:30"', 'end = "22:00"', "36: mode.schedule.0.end: the window ends when it starts"),
    ('["mon", "sun"]', "[]", "34: mode.schedule.0.weekdays: names no day"),
    ('["mon", "sun"]', '["mon", "mon"]', "34: mode.schedule.0.weekdays: names a day twice"),
    ('["mon", "sun"]', '["monday"]', "34: mode.schedule.0.weekdays.0: 'monday' is not a choice"),
    ('["mon", "sun"]', '"mon"', "34: mode.schedule.0.weekdays: 'mon' is not a list in brackets"),
    ("[mode]", '[status]\nhost = "0.0.0.0"\n[mode]', "32: status.host: '0.0.0.0' would be reachable from the network"),
    ("[mode]", "[anomaly]\nz_threshold = 0\n[mode]", "32: anomaly.z_threshold: 0 is too small"),
    ("[mode]", "[fallbck]\n[mode]", '31: fallbck: unknown key. Did you mean "fallback"?'),
    ("[limits]", "limits = 3\n[site2]", "site.limits: unknown key"),
    ("[site]", "[site", "1:6: syntax: "),
    ("[site]", "[site]\n[site]", "2:6: syntax: "),
    ("phase_max_w = 4000", "phase_max_w = 4000 W", "6:20: syntax: "),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), REFUSED)
def test_a_fault_is_refused_with_its_line(old: str, new: str, expected: str) -> None:
    lines = refusals(changed(old, new))
    hits = [line for line in lines if expected in line]
    assert hits, "\n".join(lines)
    assert hits[0].startswith("sunkeep.toml:")
    assert hits[0].endswith((".", "?"))


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    lines = refusals(changed("phase_max_w = 4000", "phase_max_w = 9000").replace("slot = 1", "slot = -1"))
    assert [line.split(":")[1] for line in lines] == ["6", "26"]


def test_an_export_limit_is_possible_with_generators() -> None:
    text = changed('name = "Home"', 'role = "generate"\nexport_cap_required = true')
    assert parse_settings(text, Path("x.toml")).core_site().role is Role.GENERATE


def test_no_slave_at_all_is_refused() -> None:
    text = CONFIGURATION[: CONFIGURATION.index("[[slaves]]")]
    assert any("[[slaves]]" in line and "is missing" in line for line in refusals(text))
    assert any("slaves: there is none" in line for line in refusals("slaves = []\n" + text))


def test_one_table_of_slaves_is_refused_with_the_brackets_that_were_meant() -> None:
    head = CONFIGURATION[: CONFIGURATION.index("[[slaves]]")]
    text = head + '[slaves]\nname = "boiler"\nslot = 0\nphases = "a"\nmax_w = 3000\n'
    (line,) = refusals(text)
    assert line.endswith(
        ": slaves: is a table, and each device has one of its own. Write [[slaves]] with two brackets."
    )


def test_a_slave_is_told_by_its_label_and_by_what_was_measured() -> None:
    charger = (
        'phases = "all"\nmax_w = 11040\nmin_w = 4140\nmin_on_s = 60\nmin_off_s = 90\npriority = 2\n'
        "dead_time_s = 6.5\nlag_s = 2.0\ngain = 0.98"
    )
    text = changed('phase = "a"\nmax_w = 3000', charger)
    slave = parse_settings(text, Path("x.toml")).core_site().slaves[0]
    assert slave == Slave(
        0, "boiler", 0, 11040, 4140, True, (), 60.0, 90.0, 2, "sunkeep", dead_time_s=6.5, lag_s=2.0, gain=0.98
    )
    assert (slave.phase_name, slave.is_staged, slave.flexible_w) == ("abc", True, 6900)


def test_the_meter_timeout_shrinks_with_the_period() -> None:
    settings = parse_settings(changed('name = "Home"', "period_s = 0.2"), Path("x.toml"))
    assert settings.meter_timeout_s() == pytest.approx(0.075)


@pytest.mark.parametrize("frames", [2, 3, 4, 5])
def test_more_frames_at_a_time_need_slower_ones_and_the_advice_fits(frames: int) -> None:
    slots = [30 * frame for frame in range(frames)]
    assert frames_for(slots) == frames
    head, tail = CONFIGURATION[: CONFIGURATION.index("[[slaves]]")], '[mode]\nmode = "shadow"\n'
    slaves = "".join(
        f'[[slaves]]\nname = "{slot}"\nslot = {slot}\nphase = "a"\nmax_w = 100\n' for slot in slots
    )
    assert any(f"{frames} frames each" in line for line in refusals(head + slaves + tail))
    advice = airtime_for(frames)
    ttl_s = advice.pop("ttl_s")
    section = f"ttl_s = {ttl_s}\n[radio.airtime]\n" + "".join(f"{k} = {v}\n" for k, v in advice.items())
    settings = parse_settings(head + section + slaves + tail, Path("x.toml"))
    assert settings.radio.airtime.model_dump() == {"deadband_w": 50.0} | advice


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = write_configuration(tmp_path)
    (tmp_path / "site.key").chmod(mode)
    with pytest.raises(SettingsError, match=r"can be read by others. Run: chmod 600 .*site\.key\."):
        load_settings(path)


@pytest.mark.parametrize("content", ["", "00" * 32, "ab" * 31, "xy" * 32, "ab" * 33, "é"])
def test_a_key_that_is_none_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    path = write_configuration(tmp_path)
    (tmp_path / "site.key").write_text(content)
    with pytest.raises(SettingsError, match="does not hold a key") as caught:
        load_settings(path)
    assert not content or content not in str(caught.value)


def test_a_missing_key_is_named_with_the_line_that_asks_for_it(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, CONFIGURATION.replace("[radio]", '[radio]\nkey_file = "other.key"'))
    with pytest.raises(
        SettingsError, match=r"sunkeep\.toml:16: radio\.key_file: .*other\.key cannot be read"
    ):
        load_settings(path)
    assert load_settings(path, key=False).radio.key_file == tmp_path / "other.key"


def test_files_that_are_not_what_they_seem_are_refused(tmp_path: Path) -> None:
    path = write_configuration(tmp_path)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    writable = tmp_path / "open.toml"
    writable.write_text(CONFIGURATION)
    writable.chmod(0o666)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[site]\nname = "Stra\xdfe"\n')
    large = tmp_path / "large.toml"
    large.write_text("#" * 256_001)
    for file, words in (
        (link, "is a symbolic link"),
        (writable, "can be written by everybody. Run: chmod o-w"),
        (latin, "latin.toml:2: is not UTF-8 text"),
        (large, "is larger than 256 kB"),
        (tmp_path, "is not a file"),
        (tmp_path / "none.toml", "does not exist"),
        (path / "below.toml", "cannot be read"),
        (Path("/dev/null"), "is not a file"),
    ):
        with pytest.raises(SettingsError) as caught:
            load_settings(file)
        assert words in str(caught.value)


def test_a_secret_in_an_unknown_key_is_not_repeated() -> None:
    secret = "5a" * 16
    assert all(
        secret not in line
        for line in refusals(changed('path = "socket', f'network_key = "{secret}"\npath = "socket'))
    )


@pytest.mark.parametrize("wire", [P1, SML])
def test_a_meter_that_pushes_needs_no_profile_and_a_second(wire: str) -> None:
    settings = parse_settings(changed(METER, wire), Path("sunkeep.toml"))
    assert settings.meter.profile is None
    quick = changed(METER, wire).replace('name = "Home"', "period_s = 0.5", 1)
    assert refusals(quick) == [
        "sunkeep.toml:2: site.period_s: 0.5 s is shorter than what such a meter sends in. Write at least 1."
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/dev/serial/by-id/usb-stick",
        "/dev/ttyUSB0",
        "linux:///dev/ttyUSB0",
        "socket://127.0.0.1:6638",
        "socket://127.9.9.9:6638",
        "socket://[::1]:6638",
        "socket://localhost:6638",
    ],
)
def test_a_coordinator_of_this_machine_needs_no_word(path: str) -> None:
    assert parse_settings(changed("socket://127.0.0.1:6638", path), Path("sunkeep.toml")).radio.path == path


def test_a_coordinator_of_another_machine_needs_an_explicit_word() -> None:
    text = changed("127.0.0.1:6638", "192.168.1.5:6638")
    (refusal,) = refusals(text)
    assert 'remote_coordinator = "accepted"' in refusal
    assert "network key" in refusal
    accepted = text.replace("[radio]", '[radio]\nremote_coordinator = "accepted"')
    assert parse_settings(accepted, Path("sunkeep.toml")).radio.path == "socket://192.168.1.5:6638"
