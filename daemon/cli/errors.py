"""What a user reads when a command fails: one sentence and what to do, never a traceback."""

import errno
import sys

import click

from daemon.cli.crash_report import write_report
from daemon.errors import EX_CONFIG, EX_INPUT, EX_SOFTWARE
from daemon.system.redaction import redact

_CONFIGURATION = (
    ("daemon.config.settings", "SettingsError"),
    ("daemon.errors", "StartError"),
    ("drivers.errors", "ConfigError"),
    ("models.bundle", "BundleError"),
)
_INPUT = (("drivers.errors", "DriverError"), ("daemon.journal.records", "JournalError"))
"""Module and name of errors whose text says what is wrong and what to do."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PATH = (
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip
"""What is wrong with a path, which nearly always the user has named."""


def explain(error: Exception) -> int:
    """Say what went wrong on standard error and return the exit code."""
    for code, kinds in ((EX_CONFIG, _CONFIGURATION), (EX_INPUT, _INPUT)):
        if any(_is_a(error, module, name) for module, name in kinds):
            click.echo(redact(str(error)), err=True)
            return code
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        click.echo(f"The port is in use: {error}. Stop the other program, or choose another port.", err=True)
        return EX_INPUT
    refusal = _refused_by_system(error) if isinstance(error, OSError) else None
    if refusal is not None:
        click.echo(refusal, err=True)
        return EX_INPUT
    return _crashed(error)


def _refused_by_system(error: OSError) -> str | None:
    """What a path or a full disk refused, in words; None for anything else."""
    place = "The disk" if error.filename is None else redact(str(error.filename))
    if error.errno in _DISK_FULL:
        return f"{place} cannot be written ({error.strerror}). Make room, and try again."
    if error.errno in _PATH and error.filename is not None:
        return f"{place} cannot be used ({error.strerror}). Name another path, or look at who may use it."
    return None


def _is_a(error: Exception, module: str, name: str) -> bool:
    """Whether it is of that class; a module that was never imported cannot have raised it."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(error, kind)


def _crashed(error: Exception) -> int:
    summary = redact(f"{type(error).__name__}: {error}").splitlines()[0][:200]
    place = write_report(error)
    where = f"A report for the developers is in {place}." if place else "No report could be written."
    click.echo(f"Sunkeep stopped because of a fault of its own ({summary}). {where}", err=True)
    return EX_SOFTWARE
