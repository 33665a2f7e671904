"""What programs may ask and say, as an OpenAPI 3.1 document. Served as it stands."""

from typing import Any

PREFIX = "/api/v1"
_UNTIL = {"type": ["number", "null"], "description": "Unix seconds; null without a time."}
_END = {"type": "number", "description": "Unix seconds."}
_NAMES = {"type": "array", "items": {"type": "string"}, "maxItems": 30}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _responses(text: str, schema: dict[str, Any], *, is_order: bool) -> dict[str, Any]:
    others = {"401": "No valid token or login.", "429": "Too many requests.", "503": "No daemon answers."}
    if is_order:
        others |= {"400": "Not such a request.", "403": "Orders are not accepted.", "409": "Refused: why."}
    answers = {code: {"description": said, "content": _json(_ref("Error"))} for code, said in others.items()}
    return {"200": {"description": text, "content": _json(schema)}} | answers


def _read(identifier: str, text: str, schema: str) -> dict[str, Any]:
    responses = _responses(text, _ref(schema), is_order=False)
    return {"operationId": identifier, "summary": text, "responses": responses}


def _order(identifier: str, text: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    done: dict[str, Any] = {"operationId": identifier, "summary": text}
    if body is not None:
        done["requestBody"] = {"required": True, "content": _json(body | {"additionalProperties": False})}
    return done | {"responses": _responses("The daemon has taken it.", _ref("Done"), is_order=True)}


_DEVICE = {"name": "device", "in": "path", "required": True, "schema": {"type": "string"}}
DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Sunkeep in the house",
        "version": "1",
        "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        "description": "Powers in W (grid: + import), energies in Wh. The daemon decides what comes of an "
        "order; `orders` tells it after the next tick.",
    },
    "servers": [{"url": PREFIX}],
    "security": [{"token": []}, {"login": []}],
    "paths": {
        "/status": {"get": _read("readStatus", "The whole status document.", "Status")},
        "/orders": {"get": _read("readOrders", "Orders in force, and what became of them.", "Orders")},
        "/pause": {
            "put": _order("pause", "Every device rests.", _object(["until_unix_s"], until_unix_s=_UNTIL)),
            "delete": _order("resume", "The site is controlled again."),
        },
        "/boosts/{device}": {
            "parameters": [_DEVICE],
            "put": _order(
                "boost",
                "The device gets power without a surplus, at most for a day.",
                _object(["until_unix_s"], until_unix_s=_UNTIL),
            ),
            "delete": _order("endBoost", "The device takes part as usual again."),
        },
        "/priorities": {
            "put": _order(
                "setPriorities",
                "These devices are served first, in this order; none: as configured.",
                _object(["first"], first=_NAMES),
            )
        },
        "/holiday": {
            "put": _order(
                "beginHoliday",
                "Devices rest, but those that are kept.",
                _object(["until_unix_s", "kept"], until_unix_s=_END, kept=_NAMES),
            ),
            "delete": _order("endHoliday", "Every device takes part again."),
        },
    },
    "components": {
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "login": {"type": "apiKey", "in": "cookie", "name": "sunkeep"},
        },
        "schemas": {
            "Error": _object(["error"], error={"type": "string"}),
            "Done": _object(["said"], said={"type": "string"}),
            "Status": _object(["schema_version", "site", "headline", "total", "slaves", "orders", "pause"]),
            "Orders": _object(
                ["pause", "boosts", "first", "holiday"],
                pause=_object(["is_on", "until_unix_s"], is_on={"type": "boolean"}, until_unix_s=_UNTIL),
                boosts={
                    "type": "array",
                    "items": _object(
                        ["slave", "slot", "until_unix_s", "said"],
                        slave={"type": "string"},
                        slot={"type": "integer"},
                        until_unix_s=_END,
                        said={"type": "string"},
                    ),
                },
                first=_NAMES,
                holiday=_object(["until_unix_s", "kept"], until_unix_s=_END, kept=_NAMES)
                | {"type": ["object", "null"]},
            ),
        },
    },
}
