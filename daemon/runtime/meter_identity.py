"""Which meter was commissioned: remembered, so that a swapped or spoofed one is noticed after a restart."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from daemon.system.json_file import read_json
from daemon.system.state_file import replace_whole
from drivers.errors import ConfigError


@dataclass(frozen=True, slots=True)
class IdentityFile:
    """The words that tell this meter from another, in the state directory."""

    path: Path

    def load(self) -> tuple[int, ...] | None:
        """The words, or None when none were kept yet: then the first meter is accepted.

        Raises:
            ConfigError: what is there cannot be read. Any meter would be accepted, for ever and unnoticed.
        """
        try:
            words = read_json(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be read ({error.strerror}): run this as its owner"
            ) from None
        except ValueError:
            words = None
        if isinstance(words, list) and words and all(type(word) is int for word in words):
            return tuple(words)
        raise ConfigError(
            f"{self.path} is damaged, so nobody can say whether this is the meter that was set up. If it is, "
            "remove the file"
        )

    def keep(self, words: tuple[int, ...] | None) -> None:
        """Remember the first meter that had something to say. A disk that refuses changes nothing."""
        if not words or self.path.exists():
            return
        with contextlib.suppress(OSError):
            replace_whole(self.path, json.dumps(list(words)).encode())
