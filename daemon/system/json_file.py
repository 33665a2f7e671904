"""JSON that somebody else may have damaged: any text, of any depth."""

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except RecursionError:
        raise ValueError("nested too deeply") from None
