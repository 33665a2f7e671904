"""Which meter was commissioned: remembered, so that a swapped or spoofed one is noticed after a restart."""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class IdentityFile:
    """The words that tell this meter from another, in the state directory."""

    path: Path

    def load(self) -> tuple[int, ...] | None:
        """The words, or None when none were kept or the file cannot be read: then any meter is accepted."""
        try:
            words = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return None
        return tuple(words) if isinstance(words, list) and all(isinstance(w, int) for w in words) else None

    def keep(self, words: tuple[int, ...] | None) -> None:
        """Remember the first meter that had something to say. A disk that refuses changes nothing."""
        if not words or self.path.exists():
            return
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                json.dump(list(words), stream)
        except OSError:
            return
