"""A site moves to a new computer and a new stick by one encrypted file, and its slaves obey as before."""

import asyncio
import json
import sys
from pathlib import Path
from random import Random

import pytest

from daemon.__main__ import main
from daemon.commissioning import sealed_file
from daemon.commissioning.embedded_site import write_site
from daemon.runtime.state_directory import open_counter
from plant.simulated_site import slaves_of
from tests.support.zigbee_network import KEY, SLOTS, START_S, radio_at, replaced, serve, until

PASSPHRASE = "a long one, that nobody guesses"
LIMIT_S = 60.0


async def sunkeep(*words: str | Path) -> tuple[int, str]:
    """What a command says, and its exit code."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "daemon", *map(str, words)]
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    async with asyncio.timeout(LIMIT_S):
        said, _ = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in said
    return process.returncode, said.decode()


def site_at(folder: Path, radio: str) -> Path:
    """The files of a commissioned site."""
    folder.mkdir()
    (folder / "site.key").write_text(KEY.hex())
    (folder / "site.key").chmod(0o600)
    config = write_site(folder, slaves_of(3), 1502, radio)
    (folder / "totals.json").write_text('{"kept": 1}')
    (folder / "models" / "mine@1").mkdir(parents=True)
    (folder / "models" / "mine@1" / "policy.onnx").write_bytes(b"\0\1")
    (folder / "journal").mkdir()
    (folder / "journal" / "day.journal").write_text("large")
    return config


async def obeyed(config: Path, path: str) -> int:
    """The counter of a frame of this site that all slaves have answered."""
    counter = open_counter(config.parent)
    async with radio_at(path, database=config.parent / "zigbee.db") as near:
        await until(lambda: near.radio.up, START_S)
        near.counter = counter.take() - 1
        sent = await near.send(10, 20, 30)
        everybody = dict.fromkeys(SLOTS, sent)
        await until(lambda: {s: r.counter for s, r in near.radio.reports().items()} == everybody, START_S)
    return sent


async def test_a_site_lives_on_in_a_new_computer_and_a_new_stick(tmp_path: Path) -> None:
    secret, file = tmp_path / "passphrase", tmp_path / "site.backup"
    secret.write_text(PASSPHRASE + "\n")
    old = await serve(Random(1))
    config = site_at(tmp_path / "old", old.path)
    before = await obeyed(config, old.path)
    network_key = old.coordinator.nvram.security.network_key
    code, said = await sunkeep("backup", file, "--config", config, "--passphrase-file", secret)
    assert code == 0, said
    assert file.stat().st_mode & 0o777 == 0o600
    assert KEY.hex() not in file.read_text("latin1")
    assert network_key not in file.read_bytes()

    new = await replaced(old)
    try:
        place = tmp_path / "new" / "sunkeep.toml"
        restoring = ("restore", file, "--config", place, "--passphrase-file", secret, "--radio", new.path)
        code, said = await sunkeep(*restoring)
        assert code == 0, said
        assert "The stick has the network of before: channel 15" in said
        assert (place.parent / "site.key").read_text() == (config.parent / "site.key").read_text()
        assert (place.parent / "totals.json").read_text() == '{"kept": 1}'
        assert (place.parent / "models" / "mine@1" / "policy.onnx").read_bytes() == b"\0\1"
        assert not (place.parent / "journal").exists()
        assert not (place.parent / "restoring").exists()
        assert await obeyed(place, new.path) > before + 100_000
    finally:
        await new.stop()


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function at a thousandth of its cost."""
    monkeypatch.setattr(sealed_file, "COST_LOG2", 10)


def test_without_the_stick_the_files_are_laid_down_and_advice_is_given(
    tmp_path: Path, cheap: None, capsys: pytest.CaptureFixture[str]
) -> None:
    secret, file = tmp_path / "passphrase", tmp_path / "site.backup"
    secret.write_text(PASSPHRASE)
    config = site_at(tmp_path / "old", "/dev/absent")
    options = ["--passphrase-file", str(secret)]
    taking = ["backup", str(file), "--config", str(config), *options, "--without-stick", "--json"]
    assert main(taking) == 0
    assert json.loads(capsys.readouterr().out)["network"] is False
    assert main(taking) == 2
    assert "is not overwritten" in capsys.readouterr().err
    assert main(["restore", str(file), *options, "--look"]) == 0
    assert "site.key" in capsys.readouterr().out
    place = tmp_path / "new" / "sunkeep.toml"
    laying = ["restore", str(file), "--config", str(place), *options]
    assert main(laying) == 1
    assert f"sunkeep zigbee form --config {place}" in capsys.readouterr().out
    assert place.exists()
    assert main(laying) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_a_passphrase_is_long_and_the_right_one(
    tmp_path: Path, cheap: None, capsys: pytest.CaptureFixture[str]
) -> None:
    file, secret = tmp_path / "site.backup", tmp_path / "passphrase"
    secret.write_text("short")
    config = site_at(tmp_path / "old", "/dev/absent")
    options = ["--passphrase-file", str(secret)]
    assert main(["backup", str(file), "--config", str(config), *options]) == 2
    assert "at least 12" in capsys.readouterr().err
    assert not file.exists()
    file.write_bytes(sealed_file.seal(b"{}", PASSPHRASE))
    place = tmp_path / "new" / "s.toml"
    assert main(["restore", str(file), "--config", str(place), *options]) == 2
    assert "does not open with this passphrase" in capsys.readouterr().err
    assert not place.parent.exists()
