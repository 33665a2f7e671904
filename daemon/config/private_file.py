"""Files with secrets, which their owner alone may read."""

from pathlib import Path

from daemon.errors import StartError


def read_private(file: Path, key: str) -> str:
    """The text of a file with secrets.

    Args:
        key: where the configuration names it, for the refusal.

    Raises:
        StartError: it cannot be read, or others can read it.
    """
    try:
        is_open = bool(file.stat().st_mode & 0o077)
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise StartError(f"{key} {file} cannot be read ({reason}).") from None
    if is_open:
        raise StartError(f"{key} {file} can be read by others. Run: chmod 600 {file}")
    return text
