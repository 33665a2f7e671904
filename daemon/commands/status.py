"""`sunkeep status`: what a running daemon says about itself."""

import json
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import click

from daemon.config.sections import StatusSection
from daemon.config.settings import load_settings
from daemon.errors import InputError

TIMEOUT_S = 3.0
_PHASE_KEYS_1 = {"wished_w": "policy_action_w"}
"""Keys of a phase in version 1 of the document, which named no version, and what they are called now."""
_STATES_2 = {"pi_fallback": "fallback"}
"""States as versions 1 and 2 of the document call them."""


@click.command()
@click.option("--host", help="Where the status page is served; else 127.0.0.1.")
@click.option("--port", type=click.IntRange(1, 65535), help="Its port; else 9108.")
@click.option("--config", type=click.Path(path_type=Path), help="Take host and port from this configuration.")
@click.option("--all", "everything", is_flag=True, help="Every figure, one per line.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="For programs: what it answered, in the keys of this version.",
)
def status(host: str | None, port: int | None, config: Path | None, everything: bool, as_json: bool) -> None:
    """Show what a running daemon is doing."""
    served = StatusSection() if config is None else load_settings(config, key=False).status
    if config is not None and not port and not served.port:
        raise InputError(f"{config} leaves the port to chance ([status] port = 0). Name --port.")
    answer = _fetch(host or served.host, port or served.port)
    if as_json:
        click.echo(json.dumps(answer))
        return
    lines = [f"{name:<32} {value}" for name, value in _lines(answer)] if everything else summary(answer)
    click.echo("\n".join(lines))


def _fetch(host: str, port: int) -> Any:
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/status.json")
        response = connection.getresponse()
        content = response.read(1_000_000)
        if response.status != 200:
            raise InputError(f"{host}:{port} answered {response.status}; is that Sunkeep's port?")
        answer = json.loads(content)
        if not isinstance(answer, dict):
            raise ValueError("no object")
        return _current(answer)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise InputError(
            f"No daemon answers at {host}:{port} ({reason}). Start it with `sunkeep run`, or name --port."
        ) from None
    except (HTTPException, ValueError):
        raise InputError(f"What answers at {host}:{port} is not Sunkeep. Name --port.") from None
    finally:
        connection.close()


def _current(answer: dict[str, Any]) -> dict[str, Any]:
    """A document of a daemon of version 1 or 2 with the words of today; anything else as it is."""
    version = answer.get("schema_version", 1)
    acting, phases = answer.get("acting"), answer.get("phases")
    if version == 1 and isinstance(phases, list):
        renamed = [
            {_PHASE_KEYS_1.get(key, key): value for key, value in phase.items()}
            for phase in phases
            if isinstance(phase, dict)
        ]
        answer = {"schema_version": 1, **answer, "phases": renamed}
    if version in (1, 2) and isinstance(acting, dict) and "state" in acting:
        state = acting["state"]
        answer = {**answer, "acting": {**acting, "state": _STATES_2.get(state, state)}}
    return answer


def summary(answer: Any) -> list[str]:
    """What a person wants to know first: how it goes, who acts and why, each phase, today's energy."""
    try:
        acting, today = answer["acting"], answer["energy"]["today"]
        acts = " acts" if acting["source"] in ("policy", "fallback") else ","
        return [
            f"{answer['site']['name']}: {answer['headline']['text']}",
            f"{acting['who']}{acts} {acting['why']} ({acting['state']})",
            *(
                f"phase {p['name']}  grid {_text(p['grid_w']):>8} W   "
                f"slaves {_text(p['placed_w']):>7} W of {_text(p['on_air_w'])} W on air"
                for p in answer["phases"]
            ),
            f"today    exported {_text(today['exported_wh'])} Wh, "
            f"without Sunkeep {_text(today['without_exported_wh'])} Wh",
            *_ordered(answer.get("orders") or {}),
            *_judged(answer["details"]),
            *_refused(answer["site"], answer["details"].get("radio_remark")),
        ]
    except (KeyError, TypeError, IndexError):
        raise InputError("The daemon is of another version. Try --all.") from None


def _ordered(orders: Any) -> list[str]:
    """What the owner said of devices; a daemon of before says nothing of it."""
    lines = [f"boosted  {one['slave']} {one['said']}" for one in orders.get("boosts", ())]
    if orders.get("first"):
        lines.append(f"first    {', '.join(orders['first'])}")
    if orders.get("holiday"):
        end = datetime.fromtimestamp(orders["holiday"]["until_unix_s"]).astimezone()
        kept = ", ".join(orders["holiday"]["kept"])
        lines.append(f"holiday  until {end:%Y-%m-%d %H:%M}{f', but for {kept}' if kept else ''}")
    return lines


def _refused(site: Any, radio_remark: Any) -> list[str]:
    """What the daemon was told to use and does not; a daemon of before says nothing of it."""
    kinds = {"configuration_problem": "configuration", "policy_problem": "policy"}
    remarks = [f"remark   {told}" for told in (site.get("remark"), radio_remark) if told]
    if site.get("recording_problem"):
        remarks.append(f"disk     nothing can be recorded: {site['recording_problem']}")
    return remarks + [f"refused  {kind}: {site[key]}" for key, kind in kinds.items() if site.get(key)]


def _judged(details: Any) -> list[str]:
    """The policy beside the fallback, once a whole hour has been judged."""
    if details["judge_failed"]:
        return ["judged   no longer: the judge failed, see the log"]
    for key, place in (("judged", ""), ("judged_in_shadow", ", in the shadow")):
        told = details[key]
        if told["hours"]:
            export, j = _beside(told["export"]), _beside(told["j"])
            return [f"judged   {told['hours']} h against the fallback{place}: export {export}, J {j}"]
    return []


def _beside(told: Any) -> str:
    if told["excess"] is None:
        return "-"
    bounds = "not settled" if told["high"] is None else f"{told['low']:+.0%} to {told['high']:+.0%}"
    return f"{told['excess']:+.0%} ({bounds})"


def _lines(answer: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Flat (name, value) pairs; long lists, such as the chart's points, only by their length."""
    if isinstance(answer, dict):
        return [
            line
            for key, value in answer.items()
            for line in _lines(value, f"{prefix}.{key}" if prefix else key)
        ]
    if isinstance(answer, list):
        if len(answer) > 3 and any(isinstance(item, (dict, list)) for item in answer):
            return [(prefix, f"({len(answer)} entries)")]
        if any(isinstance(item, (dict, list)) for item in answer):
            return [line for at, item in enumerate(answer) for line in _lines(item, f"{prefix}.{at}")]
        return [(prefix, ", ".join(map(_text, answer)))]
    return [(prefix, _text(answer))]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)
