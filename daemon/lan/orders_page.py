"""The page on which the owner says something to the controller: plain forms, no script."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --ground: #f4f5f2; --card: #fff; --line: #8a958e; --text: #18211d;
  --muted: #56625c; --main: #0f766a; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1412; --card: #171e1b; --line: #75817a;
  --text: #e8edea; --muted: #a3b0a9; --main: #4fc4b1; } }
body { margin: 0 auto; max-width: 640px; padding: 16px; background: var(--ground); color: var(--text);
  font: 17px/1.45 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0 0 12px; } h2 { font-size: 18px; margin: 0 0 8px; }
section { background: var(--card); border-radius: 14px; padding: 16px; margin: 0 0 14px; }
p { margin: 0 0 8px; } small { color: var(--muted); }
form { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 0 0 8px; }
button, input, select { font: inherit; min-height: 44px; padding: 8px 14px; border-radius: 10px;
  box-sizing: border-box; border: 1px solid var(--line); background: transparent; color: inherit; }
button { border-color: var(--main); color: var(--main); font-weight: 650; }
label { display: flex; gap: 6px; align-items: center; min-height: 44px; }
a { color: var(--main); }
[role=status] { border: 2px solid var(--main); }
"""
_DIGEST = b64encode(sha256(_STYLE.encode()).digest()).decode()
SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HOURS = (1, 3, 6)


def orders_page(document: Mapping[str, Any], csrf: str, said: str = "") -> str:
    """The page; `said` is what became of the last form, `csrf` the login's own secret."""
    orders, devices = document["orders"], [slave["name"] for slave in document["slaves"]]
    note = f'<section role="status">{escape(said)}</section>\n' if said else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Sunkeep: orders</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(document['site']['name'])}</h1>\n<p>{escape(document['headline']['text'])}. "
        f'<a href="/">Back to the page</a></p>\n{note}'
        f"{_pause(document, csrf)}{_boosts(document, csrf)}"
        f"{_priorities(devices, orders, csrf)}{_holiday(devices, orders, csrf)}</body>\n</html>\n"
    )


def request_of(form: Mapping[str, Any], chosen: list[str], now: datetime) -> dict[str, Any] | None:
    """The request to the daemon that a form asks for; None for what is no form of this page.

    Args:
        chosen: the ticked devices.
        now: in the zone of the site.
    """
    what, device = str(form.get("what")), str(form.get("device", ""))
    hours = str(form.get("hours", ""))
    until_s = (now + timedelta(hours=int(hours))).timestamp() if hours in map(str, HOURS) else None
    match what:
        case "pause":
            return {"command": "pause", "until_unix_s": until_s}
        case "boost":
            return {"command": "boost", "slave": device, "until_unix_s": until_s}
        case "end_boost":
            return {"command": "end_boost", "slave": device}
        case "first":
            return {"command": "priorities", "first": [device] if device else []}
        case "holiday":
            try:
                day = datetime.strptime(str(form.get("date")), "%Y-%m-%d").replace(tzinfo=now.tzinfo)
            except ValueError:
                return None
            return {"command": "holiday", "until_unix_s": day.timestamp(), "kept": chosen}
        case "resume" | "end_holiday":
            return {"command": what}
    return None


def _form(csrf: str, what: str, inside: str, device: str = "") -> str:
    hidden = {"csrf": csrf, "what": what} | ({"device": device} if device else {})
    fields = "".join(f'<input type="hidden" name="{n}" value="{escape(v)}">' for n, v in hidden.items())
    return f'<form method="post" action="/orders">{fields}{inside}</form>\n'


def _lasting(verb: str, until_full: str, about: str) -> str:
    """One button for each span, and one without."""
    spans = "".join(
        f'<button name="hours" value="{h}" aria-label="{escape(about)} {h} h">{verb} {h} h</button>'
        for h in HOURS
    )
    label = f"{escape(about)} {until_full}"
    return f'{spans}<button name="hours" value="" aria-label="{label}">{until_full}</button>'


def _pause(document: Mapping[str, Any], csrf: str) -> str:
    if document["pause"]["is_on"]:
        inside = _form(csrf, "resume", "<button>Go on now</button>")
        return f"<section><h2>Pause</h2>\n<p>Every device rests.</p>{inside}</section>\n"
    inside = _form(csrf, "pause", _lasting("Pause", "Until I say so", "Pause"))
    return f"<section><h2>Pause</h2>\n{inside}</section>\n"


def _boosts(document: Mapping[str, Any], csrf: str) -> str:
    said = {one["slave"]: one["said"] for one in document["orders"]["boosts"]}
    rows = []
    for slave in document["slaves"]:
        name = slave["name"]
        if name in said:
            end = _form(csrf, "end_boost", "<button>End</button>", name)
            rows.append(f"<p><b>{escape(name)}</b> {escape(said[name])}</p>{end}")
        else:
            begin = _form(csrf, "boost", _lasting("For", "Until full", f"Boost {name}"), name)
            rows.append(f"<p><b>{escape(name)}</b></p>{begin}")
    about = "<small>Power without a surplus: it may be drawn from the grid. A day at most.</small>"
    return f"<section><h2>Boost</h2>\n<p>{about}</p>{''.join(rows)}</section>\n"


def _priorities(devices: list[str], orders: Mapping[str, Any], csrf: str) -> str:
    first = ", ".join(orders["first"]) or "as configured"
    options = "".join(f"<option>{escape(name)}</option>" for name in devices)
    none = '<option value="">as configured</option>'
    choice = f'<label>First <select name="device">{none}{options}</select></label>'
    inside = _form(csrf, "first", f"{choice}<button>Set</button>")
    return f"<section><h2>Served first</h2>\n<p>Now: {escape(first)}</p>{inside}</section>\n"


def _holiday(devices: list[str], orders: Mapping[str, Any], csrf: str) -> str:
    holiday = orders["holiday"]
    if holiday is not None:
        kept = f" but {escape(', '.join(holiday['kept']))}" if holiday["kept"] else ""
        inside = _form(csrf, "end_holiday", "<button>I am back</button>")
        return f"<section><h2>Holiday</h2>\n<p>Devices rest{kept}.</p>{inside}</section>\n"
    ticks = "".join(
        f'<label><input type="checkbox" name="kept" value="{escape(name)}">{escape(name)} goes on</label>'
        for name in devices
    )
    date = '<label>Until <input type="date" name="date" required></label>'
    inside = _form(csrf, "holiday", f"{date}{ticks}<button>Begin</button>")
    return f"<section><h2>Holiday</h2>\n{inside}</section>\n"
