"""Orders from the house: forms behind the login, the same for programs; read only unless that is changed."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar
from click.testing import CliRunner
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from daemon.commands.gateway import _document, gateway
from daemon.config.gateway_sections import LanSection
from daemon.errors import StartError
from daemon.lan import password as passwords
from daemon.lan.api import READS
from daemon.lan.api_description import DESCRIPTION, PREFIX
from daemon.lan.order_desk import ORDERS, OrderDesk
from daemon.lan.orders_page import orders_page, request_of
from daemon.lan.relay import Relay
from daemon.lan.server import HousePage, made_token, read_token_hash, serve_house
from daemon.monitoring.figures import Figures
from daemon.monitoring.status import status
from daemon.monitoring.telemetry import DeviceOrders, HolidayOrder, PauseOrder
from daemon.web.server import serve
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, feed

PASSWORD = "a boiler on phase b"
TOKEN, TOKEN_HASH = made_token()
BEARER = {"Authorization": f"Bearer {TOKEN}", "Origin": ""}
NOW = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)


class OrderedHouse:
    """A page in the house before a fed daemon, and the requests that reached its socket."""

    def __init__(self, page: HousePage, figures: Figures, phone: ClientSession) -> None:
        self.page, self.figures, self.phone = page, figures, phone
        self.requests: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {}
        self.at_s = 0.0

    async def command(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        return self.answer

    async def login(self) -> None:
        async with self.phone.post("/login", data={"password": PASSWORD}, allow_redirects=False) as answer:
            assert answer.status == 303

    async def csrf(self) -> str:
        async with self.phone.get("/orders") as answer:
            return (await answer.text()).split('name="csrf" value="')[1].split('"')[0]

    async def send(self, **form: str) -> tuple[int, str]:
        async with self.phone.post("/orders", data=form, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        sent = BEARER | headers
        async with self.phone.request(method, PREFIX + path, json=body, headers=sent) as answer:
            return answer.status, await answer.json()


def fed() -> Figures:
    figures = Figures(SITE, ABOUT, 1000.0)
    feed(figures, FedHouse(), "sunny", 30)
    return figures


@pytest.fixture(autouse=True)
def quick_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost is for guessers, not for tests."""
    monkeypatch.setattr(passwords, "COST", 2**4)


@pytest.fixture
async def house() -> AsyncIterator[OrderedHouse]:
    figures = fed()
    server = await serve(figures, "127.0.0.1", 0, clock=lambda: 1030.5)
    async with ClientSession() as session:
        relay = Relay(session, server.url.rstrip("/"))
        desk = OrderDesk(lambda: _document(relay))
        page = HousePage(
            relay,
            passwords.hashed(PASSWORD),
            frozenset({"localhost"}),
            is_encrypted=False,
            desk=desk,
            token_hash=TOKEN_HASH,
            settle_s=0.0,
        )
        runner, port = await serve_house(page, "127.0.0.1", 0, None)
        origin = f"http://127.0.0.1:{port}"
        async with ClientSession(
            origin, headers={"Origin": origin}, cookie_jar=CookieJar(unsafe=True)
        ) as phone:
            made = OrderedHouse(page, figures, phone)
            desk.command, desk.clock = made.command, lambda: made.at_s
            yield made
        await runner.cleanup()
    await server.stop()


async def test_the_forms_of_the_page_become_requests(house: OrderedHouse) -> None:
    await house.login()
    async with house.phone.get("/") as answer:
        assert 'href="/orders"' in await answer.text()
    csrf, name = await house.csrf(), SITE.slaves[0].name
    code, text = await house.send(csrf=csrf, what="boost", device=name, hours="")
    assert (code, "Done." in text) == (200, True)
    assert house.requests == [{"command": "boost", "slave": name, "until_unix_s": None}]
    house.answer = {"refused": "no <device> is called so."}
    code, text = await house.send(csrf=csrf, what="end_boost", device="<script>")
    assert "Not done: no &lt;device&gt; is called so." in text
    assert house.requests[1]["slave"] == "<script>"


async def test_without_login_origin_or_secret_nothing_is_ordered(house: OrderedHouse) -> None:
    assert (await house.send(what="resume"))[0] == 303
    await house.login()
    csrf = await house.csrf()
    assert (await house.send(what="resume"))[0] == 403
    assert (await house.send(what="resume", csrf="of another login"))[0] == 403
    form = {"what": "resume", "csrf": csrf}
    async with house.phone.post("/orders", data=form, headers={"Origin": "http://evil.example"}) as answer:
        assert answer.status == 403
    evil = {"Origin": "http://evil.example"}
    async with house.phone.put(f"{PREFIX}/priorities", json={"first": []}, headers=evil) as answer:
        assert answer.status == 403
    async with house.phone.put(f"{PREFIX}/priorities", data={"first": ""}) as answer:  # as a form would
        assert answer.status == 400
    assert not house.requests


async def test_where_the_configuration_refuses_orders_everything_stays_readable(house: OrderedHouse) -> None:
    house.page.desk.command = None
    await house.login()
    async with house.phone.get("/") as answer:
        assert "/orders" not in await answer.text()
    _, text = await house.send(csrf=await house.csrf(), what="resume")
    assert "takes no orders from here" in text
    assert (await house.call("DELETE", "/pause"))[0] == 403
    assert (await house.call("GET", "/orders"))[0] == 200


@pytest.mark.parametrize(
    ("form", "request_"),
    [
        ({"what": "pause", "hours": ""}, {"command": "pause", "until_unix_s": None}),
        ({"what": "pause", "hours": "3"}, {"command": "pause", "until_unix_s": NOW.timestamp() + 10_800.0}),
        ({"what": "resume"}, {"command": "resume"}),
        ({"what": "first", "device": "car"}, {"command": "priorities", "first": ["car"]}),
        ({"what": "first", "device": ""}, {"command": "priorities", "first": []}),
        (
            {"what": "holiday", "date": "2026-07-14"},
            {
                "command": "holiday",
                "until_unix_s": datetime(2026, 7, 14, tzinfo=UTC).timestamp(),
                "kept": ["pool"],
            },
        ),
        ({"what": "holiday", "date": "soon"}, None),
        ({"what": "end_holiday"}, {"command": "end_holiday"}),
        ({"what": "acknowledge"}, None),
        ({}, None),
    ],
)
def test_every_form(form: dict[str, str], request_: dict[str, Any] | None) -> None:
    assert request_of(form, ["pool"], NOW) == request_


def test_the_page_shows_what_became_of_every_order() -> None:
    figures = fed()
    name = SITE.slaves[0].name
    figures.orders = DeviceOrders({name: 2e9}, (name,), HolidayOrder(2e9, (name,)))
    figures.pause = PauseOrder(True)
    text = orders_page(status(figures, 1030.5), "secret", "<b>")
    assert "waits for the next decision" in text
    assert f"Devices rest but {name}" in text
    assert f"Now: {name}" in text
    assert "Go on now" in text
    assert "<b></section>" not in text


CALLS: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("PUT", "/pause", {"until_unix_s": None}, {"command": "pause", "until_unix_s": None}),
    ("DELETE", "/pause", None, {"command": "resume"}),
    (
        "PUT",
        "/boosts/boiler%20b",
        {"until_unix_s": 5},
        {"command": "boost", "slave": "boiler b", "until_unix_s": 5},
    ),
    ("DELETE", "/boosts/x", None, {"command": "end_boost", "slave": "x"}),
    ("PUT", "/priorities", {"first": ["a"]}, {"command": "priorities", "first": ["a"]}),
    (
        "PUT",
        "/holiday",
        {"until_unix_s": 9.0, "kept": []},
        {"command": "holiday", "until_unix_s": 9.0, "kept": []},
    ),
    ("DELETE", "/holiday", None, {"command": "end_holiday"}),
]


async def test_programs_say_the_same_with_the_token(house: OrderedHouse) -> None:
    for method, path, body, _ in CALLS:
        assert await house.call(method, path, body) == (200, {"said": "Done."})
    assert house.requests == [request for *_, request in CALLS]
    house.answer = {"refused": "why"}
    assert await house.call("DELETE", "/pause") == (409, {"error": "Not done: why"})
    for body in ({}, {"until_unix_s": 1, "x": 2}, []):
        assert (await house.call("PUT", "/pause", body))[0] == 400


async def test_the_description_is_valid_and_says_what_there_is(house: OrderedHouse) -> None:
    async with house.phone.get(f"{PREFIX}/openapi.json") as answer:
        document = await answer.json()
    assert document == json.loads(json.dumps(DESCRIPTION))
    validate(document)
    told = {
        (method, PREFIX + path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in house.page.application().router.routes()
        if route.resource is not None and route.resource.canonical.startswith(PREFIX)
        if route.method != "HEAD" and not route.resource.canonical.endswith("openapi.json")
    }
    assert served == told


async def test_what_is_answered_is_what_is_described(house: OrderedHouse) -> None:
    name = SITE.slaves[0].name
    house.figures.orders = DeviceOrders({name: 2e9}, (name,), HolidayOrder(2e9, (name,)))
    schemas = DESCRIPTION["components"]["schemas"]
    for path, schema in (("/orders", "Orders"), ("/status", "Status")):
        code, body = await house.call("GET", path)
        assert code == 200
        OAS31Validator(schemas[schema]).validate(body)
    assert (await house.call("GET", "/orders"))[1]["boosts"][0]["slave"] == name


async def test_a_wrong_token_is_limited_as_a_wrong_password(house: OrderedHouse) -> None:
    wrong = {"Authorization": "Bearer guess"}
    codes = [(await house.call("GET", "/status", **wrong))[0] for _ in range(8)]
    assert codes == [401] * 5 + [429] * 3
    assert (await house.call("GET", "/status"))[0] == 200
    house.page.token_hash = None
    async with house.phone.get(f"{PREFIX}/status") as answer:
        assert answer.status == 401


async def test_the_rates_are_limited(house: OrderedHouse) -> None:
    codes = [(await house.call("DELETE", "/pause"))[0] for _ in range(ORDERS + 2)]
    assert codes == [200] * ORDERS + [429] * 2
    codes = [(await house.call("GET", "/orders"))[0] for _ in range(READS)]
    assert codes.count(200) == READS - ORDERS - 2
    house.at_s = 60.0
    assert (await house.call("DELETE", "/pause"))[0] == 200


async def test_a_daemon_that_is_away_is_told_to_programs(house: OrderedHouse) -> None:
    async def away(_: dict[str, Any]) -> dict[str, Any]:
        raise OSError("gone")

    house.page.desk.command = away
    assert (await house.call("DELETE", "/pause"))[0] == 503


def test_the_command_makes_a_token_and_keeps_its_hash(tmp_path: Path) -> None:
    more = '[lan]\npassword_file = "p"\nunencrypted = "accepted"\ntoken_file = "lan.token"\n'
    config = write_configuration(tmp_path, CONFIGURATION + more)
    done = CliRunner().invoke(gateway, ["--new-token", "--config", str(config)])
    assert done.exit_code == 0, done.output
    section = LanSection(
        password_file=tmp_path / "p", unencrypted="accepted", token_file=tmp_path / "lan.token"
    )
    assert (tmp_path / "lan.token").read_text().strip() == read_token_hash(section)
    assert len(done.stdout.strip()) >= 40
    (tmp_path / "lan.token").write_text("a token")
    with pytest.raises(StartError, match="--new-token"):
        read_token_hash(section)
    check: Callable[[LanSection], str | None] = read_token_hash
    assert check(LanSection(password_file=tmp_path / "p", unencrypted="accepted")) is None
