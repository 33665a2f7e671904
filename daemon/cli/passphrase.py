"""How a command gets a passphrase: from a file, or typed twice where it is new."""

from pathlib import Path

import click

from daemon.errors import InputError


def passphrase_from(file: Path | None, *, shortest: int, is_new: bool) -> str:
    """The passphrase, without the line's end.

    Raises:
        InputError: it is too short, or the file cannot be read.
    """
    if file is None:
        typed = click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
        found = str(typed)
    else:
        try:
            found = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "no text"
            raise InputError(f"{file} cannot be read ({why}). Name a file with one line.") from None
    if is_new and len(found) < shortest:
        raise InputError(f"A passphrase has at least {shortest} characters: whoever has the file can guess.")
    return found
