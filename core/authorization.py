"""The pass without which nothing reaches the radio."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuthorizedFrame:
    """One encoded frame that safety has decoded and checked again.

    Only ``safety.gate`` makes one (a test reads the source to make sure), and ``drivers.ports.Radio``
    takes nothing else.
    """

    payload: bytes
    safe_release: bool
