"""What a package is made of: a bill of materials in CycloneDX 1.6, from the wheels themselves."""

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

_TROVE = "License :: "


@dataclass(frozen=True, slots=True)
class WheelContents:
    """One distribution. `licence` is what its metadata says: an SPDX expression, else words."""

    name: str
    version: str
    licence: str
    is_expression: bool
    sha256: str

    def component(self) -> dict[str, Any]:
        """As CycloneDX names it."""
        licence: dict[str, Any] = {"license": {"name": self.licence}}
        return {
            "type": "library",
            "bom-ref": f"pkg:pypi/{self.name}@{self.version}",
            "purl": f"pkg:pypi/{self.name}@{self.version}",
            "name": self.name,
            "version": self.version,
            "hashes": [{"alg": "SHA-256", "content": self.sha256}],
            "licenses": [{"expression": self.licence} if self.is_expression else licence],
        }


def licence_of(metadata: Message) -> tuple[str, bool]:
    """The licence, and whether that is an SPDX expression.

    PEP 639 comes first, then the classifiers, then the words.
    """
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression), True
    troves = [str(one) for one in metadata.get_all("Classifier", []) if str(one).startswith(_TROVE)]
    names = sorted({trove.split(" :: ")[-1] for trove in troves} - {"OSI Approved"})
    if names:
        return ", ".join(names), False
    words = str(metadata.get("License") or "").strip().splitlines()
    return (words[0] if words else "not stated"), False


def part_of(wheel: Path) -> WheelContents:
    """A wheel's name, version, licence and hash."""
    with ZipFile(wheel) as archive:
        (name,) = [
            one for one in archive.namelist() if one.endswith(".dist-info/METADATA") and one.count("/") == 1
        ]
        metadata = message_from_string(archive.read(name).decode("utf-8", "replace"))
    licence, is_expression = licence_of(metadata)
    plain = str(metadata["Name"]).lower().replace("_", "-")
    return WheelContents(
        plain, str(metadata["Version"]), licence, is_expression, sha256(wheel.read_bytes()).hexdigest()
    )


def bill(wheels: Iterable[Path], version: str, made_at_utc: str) -> str:
    """The document; the same wheels and version give the same text."""
    parts = sorted(map(part_of, wheels), key=lambda part: part.name)
    content = json.dumps([part.component() for part in parts], sort_keys=True)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, version + content)}",
        "version": 1,
        "metadata": {
            "timestamp": made_at_utc,
            "component": {
                "type": "application",
                "bom-ref": "sunkeep",
                "name": "sunkeep",
                "version": version,
                "licenses": [{"expression": "GPL-3.0-or-later"}],
            },
        },
        "components": [part.component() for part in parts],
        "dependencies": [{"ref": "sunkeep", "dependsOn": [part.component()["bom-ref"] for part in parts]}],
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
