"""Errors of the wires, split by what the caller does about them."""

from core.causes import Cause


class DriverError(Exception):
    """Base of everything a driver raises."""


class Transient(DriverError):
    """This try failed; the sample grows old, the next tick tries again.

    `kind` is a short label for counting, for example ``timeout``.
    """

    def __init__(self, message: str, kind: str = "other") -> None:
        super().__init__(message)
        self.kind = kind


class Unconfirmed(Transient):
    """It is unknown whether the frame is on air, or will be: nobody said that it was accepted or refused."""


class DeviceFault(DriverError):
    """What the other end says cannot be right or has changed; rest and alert.

    `cause` is the supervisor's.
    """

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class ConfigError(DriverError):
    """Does not fit the configuration; do not start. The message says what to do."""


def reason(error: Exception) -> str:
    """Short and free of secrets: the text of what zigpy and bellows raise is not ours."""
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, AttributeError | TypeError):  # what bellows meets in a link that is gone
        return "it hung up"
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return f"{type(cause).__name__}, {cause.strerror}"
    return type(error).__name__
