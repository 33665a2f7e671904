"""Errors of the wires, split by what the caller does about them."""


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


class Broken(DriverError):
    """What the other end says cannot be right or has changed; rest and alert.

    `cause` is the name of the supervisor's cause, for example ``meter_identity``.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class ConfigError(DriverError):
    """Does not fit the configuration; do not start. The message says what to do."""
