"""Profiles as files: what ships under a name, and what somebody wrote. One loader for every kind."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from drivers.errors import ConfigError

ProfileT = TypeVar("ProfileT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ProfileFiles(Generic[ProfileT]):
    """The profiles of one kind.

    Args:
        model: what a file must hold.
        folder: of those that ship, within the package `drivers`.
        kind: for refusals, such as "meter profile".
    """

    model: type[ProfileT]
    folder: str
    kind: str

    def names(self) -> tuple[str, ...]:
        """Names of the profiles that ship."""
        found = (file.name for file in files("drivers").joinpath(self.folder).iterdir())
        return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))

    def load(self, name_or_path: str | Path) -> ProfileT:
        """A profile by its name, or from a file when the name ends in ``.toml``.

        Raises:
            ConfigError: unknown name, unreadable file, or a key that does not fit; names file, key and
                reason.
        """
        name = str(name_or_path)
        if name.endswith(".toml"):
            try:
                return self._parsed(Path(name).read_text(encoding="utf-8"), name)
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{name}: cannot read the {self.kind}: {error}") from error
        if name not in self.names():
            raise ConfigError(
                f"unknown {self.kind} {name!r}; known: {', '.join(self.names())}; "
                "or give the path of a profile file ending in .toml"
            )
        resource = files("drivers").joinpath(self.folder, f"{name}.toml")
        return self._parsed(resource.read_text(encoding="utf-8"), f"{name}.toml")

    def _parsed(self, text: str, file: str) -> ProfileT:
        try:
            return self.model.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file}: not valid TOML: {error}") from error
        except ValidationError as error:
            reasons = [
                f"{file}: {'.'.join(map(str, item['loc'])) or 'profile'}: {item['msg']}"
                for item in error.errors(include_url=False)
            ]
            raise ConfigError("\n".join(reasons)) from error
