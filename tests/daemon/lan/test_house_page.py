"""The page in the house over a real socket: who gets in, and what gets out."""

import asyncio
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar, web
from click.testing import CliRunner

from daemon.commands.gateway import gateway
from daemon.config.gateway_sections import LanSection
from daemon.config.settings import SettingsError, load_settings
from daemon.errors import InputError, StartError
from daemon.lan import password as passwords
from daemon.lan.logins import IDLE_S, TRIES, LoginLimit, Logins
from daemon.lan.relay import Relay
from daemon.lan.server import HousePage, lan_tls, own_names, serve_house
from daemon.monitoring.figures import Figures
from daemon.web.server import StatusServer, serve
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, feed

PASSWORD = "a boiler on phase b"


@pytest.fixture(autouse=True)
def quick_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost is for guessers, not for tests."""
    monkeypatch.setattr(passwords, "COST", 2**4)


@pytest.fixture
async def daemon_page() -> AsyncIterator[StatusServer]:
    figures = Figures(SITE, ABOUT, 1000.0)
    feed(figures, FedHouse(), "sunny", 30)
    server = await serve(figures, "127.0.0.1", 0, clock=lambda: 1030.5)
    yield server
    await server.stop()


@pytest.fixture
async def page(daemon_page: StatusServer) -> AsyncIterator[HousePage]:
    async with ClientSession() as session:
        relay = Relay(session, daemon_page.url.rstrip("/"))
        yield HousePage(relay, passwords.hashed(PASSWORD), frozenset({"localhost"}), is_encrypted=False)


@pytest.fixture
async def phone(page: HousePage) -> AsyncIterator[ClientSession]:
    runner, port = await serve_house(page, "127.0.0.1", 0, None)
    origin = f"http://127.0.0.1:{port}"
    async with ClientSession(
        origin, headers={"Origin": origin}, cookie_jar=CookieJar(unsafe=True)
    ) as session:
        yield session
    await runner.cleanup()


async def login(phone: ClientSession, password: str = PASSWORD) -> int:
    async with phone.post("/login", data={"password": password}, allow_redirects=False) as answer:
        return answer.status


async def status_of(phone: ClientSession, path: str) -> int:
    async with phone.get(path, allow_redirects=False) as answer:
        return answer.status


async def test_nothing_of_the_house_is_told_without_a_login(phone: ClientSession) -> None:
    async with phone.get("/", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert await status_of(phone, "/status.json") == 401
    assert await status_of(phone, "/metrics") == 401
    async with phone.get("/login") as answer:
        text = await answer.text()
        assert 'type="password"' in text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_behind_the_login_is_the_daemons_own_page(phone: ClientSession) -> None:
    assert await login(phone) == 303
    async with phone.get("/") as answer:
        assert answer.status == 200
        assert re.search(r"script-src 'sha256-", answer.headers["Content-Security-Policy"])
    async with phone.get("/status.json?since=0") as answer:
        document = await answer.json()
        assert len(document["points"]) == 30
    assert await status_of(phone, "/metrics") == 404
    assert await status_of(phone, "/healthz") == 404
    async with phone.post("/logout", allow_redirects=False) as answer:
        assert answer.status == 303
    assert await status_of(phone, "/status.json") == 401


async def test_the_cookie_is_no_business_of_scripts_and_other_pages(phone: ClientSession) -> None:
    async with phone.post("/login", data={"password": PASSWORD}, allow_redirects=False) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert PASSWORD not in cookie


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
async def test_a_form_on_another_page_logs_nobody_in(phone: ClientSession, origin: str) -> None:
    headers = {"Origin": origin} if origin else {"Origin": "http://127.0.0.1"}
    async with phone.post("/login", data={"password": PASSWORD}, headers=headers) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("8.8.8.8", 421),
        ("192.168.1.7:8443", 303),
        ("LOCALHOST:1", 303),
        ("[::1]:8", 303),
    ],
)
async def test_a_name_that_is_rebound_to_the_page_reads_nothing(
    phone: ClientSession, host: str, status: int
) -> None:
    async with phone.get("/", headers={"Host": host}, allow_redirects=False) as answer:
        assert answer.status == status


async def test_guessing_is_slow_and_ends_for_nobody_else(page: HousePage, phone: ClientSession) -> None:
    at_s = 0.0
    page.clock = lambda: at_s
    told = [await login(phone, f"guess number {n}") for n in range(TRIES + 3)]
    assert told == [403] * TRIES + [429] * 3
    assert await login(phone) == 429  # the right one, too: an answer would be a guess
    at_s = 61.0
    assert await login(phone) == 303


async def test_a_daemon_that_is_away_is_told_as_such(daemon_page: StatusServer, phone: ClientSession) -> None:
    assert await login(phone) == 303
    await daemon_page.stop()
    async with phone.get("/status.json") as answer:
        assert answer.status == 503
        assert "does not answer" in await answer.text()


async def test_many_readers_cost_the_daemon_one_answer() -> None:
    asked = 0

    async def count(_: web.BaseRequest) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(text="{}")

    runner = web.ServerRunner(web.Server(count))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession() as session:
        relay = Relay(session, f"http://127.0.0.1:{runner.addresses[0][1]}", clock=lambda: 5.0)
        await asyncio.gather(*(relay.answer("/status.json", "since=1") for _ in range(50)))
        assert (await relay.answer("/etc/passwd", "")).status == 404
    await runner.cleanup()
    assert asked == 1


def test_logins_end_by_themselves() -> None:
    sessions = Logins()
    token = sessions.begin(0.0)
    assert sessions.find(token, IDLE_S) is not None
    assert sessions.find(token, 2.0 * IDLE_S) is not None
    assert sessions.find(token, 3.5 * IDLE_S) is None
    assert sessions.find(token, 3.5 * IDLE_S) is None
    assert sessions.find("another", 0.0) is None


def test_a_hundred_logins_forget_the_oldest() -> None:
    sessions = Logins()
    tokens = [sessions.begin(float(n)) for n in range(100)]
    alive = [token for token in tokens if sessions.find(token, 100.0) is not None]
    assert alive == tokens[50:]


def test_a_network_of_guessers_is_limited_as_a_whole() -> None:
    limit = LoginLimit()
    tries = [(f"10.0.{n % 250}.{n // 250}", n * 0.01) for n in range(2000)]
    assert sum(limit.may_try(address, at_s) for address, at_s in tries) <= 22


def test_a_password_is_kept_as_a_slow_hash(tmp_path: Path) -> None:
    line = passwords.hashed(PASSWORD)
    assert PASSWORD not in line
    assert passwords.is_right(PASSWORD, line)
    assert not passwords.is_right(PASSWORD + "!", line)
    assert passwords.hashed(PASSWORD) != line
    with pytest.raises(InputError, match="10 to 256"):
        passwords.hashed("short")
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(0o600)
    with pytest.raises(StartError, match="--set-password"):
        passwords.read_password_line(file)
    file.write_text(line)
    file.chmod(0o644)
    with pytest.raises(StartError, match="chmod 600"):
        passwords.read_password_line(file)


def test_the_command_keeps_the_password(tmp_path: Path) -> None:
    more = '[lan]\npassword_file = "lan.password"\nunencrypted = "accepted"\n'
    config = write_configuration(tmp_path, CONFIGURATION + more)
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    done = CliRunner().invoke(gateway, ["--set-password", "--config", str(config)], input=typed)
    assert done.exit_code == 0, done.output
    line = passwords.read_password_line(tmp_path / "lan.password")
    assert passwords.is_right(PASSWORD, line)


def test_an_open_network_must_be_accepted_in_words(tmp_path: Path) -> None:
    config = write_configuration(tmp_path, CONFIGURATION + '[lan]\npassword_file = "lan.password"\n')
    with pytest.raises(SettingsError, match="certificate_file and key_file") as caught:
        load_settings(config)
    assert 'unencrypted = "accepted"' in str(caught.value)


async def test_over_tls_the_cookie_never_travels_open(page: HousePage, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-days",
        "1",
    ]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    section = LanSection(password_file=tmp_path / "p", certificate_file=certificate, key_file=key)
    page.is_encrypted = True
    runner, port = await serve_house(page, "127.0.0.1", 0, lan_tls(section))
    origin = f"https://127.0.0.1:{port}"
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with (
        ClientSession(origin, headers={"Origin": origin}) as phone,
        phone.post("/login", data={"password": PASSWORD}, allow_redirects=False, ssl=trusting) as answer,
    ):
        assert "; Secure" in answer.headers["Set-Cookie"]
        assert "Strict-Transport-Security" in answer.headers
    await runner.cleanup()


def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.write_text("nothing")
    section = LanSection(password_file=file, certificate_file=file, key_file=file)
    with pytest.raises(StartError, match="cannot be used"):
        lan_tls(section)
    assert own_names(LanSection(password_file=file, unencrypted="accepted", names=("Sunkeep.local",))) == {
        "localhost",
        "sunkeep.local",
    }


async def test_a_taken_port_is_told(page: HousePage) -> None:
    runner, port = await serve_house(page, "127.0.0.1", 0, None)
    with pytest.raises(StartError, match=r"cannot listen on 127\.0\.0\.1"):
        await serve_house(page, "127.0.0.1", port, None)
    await runner.cleanup()


def test_the_gateway_says_what_is_missing(tmp_path: Path) -> None:
    more = '[lan]\npassword_file = "lan.password"\nunencrypted = "accepted"\n'
    config = write_configuration(tmp_path, CONFIGURATION + more)
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "gateway", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 78
    assert "[lan] password_file" in done.stderr
    assert "Traceback" not in done.stderr
