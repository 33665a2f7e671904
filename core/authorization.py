"""The authorised message: the only thing that a wire sends."""

from dataclasses import dataclass
from typing import Protocol


class Decoded(Protocol):
    """What a message says once it is decoded again. `setpoints_w[i]` belongs to slot `base + i`."""

    @property
    def base(self) -> int: ...
    @property
    def setpoints_w(self) -> tuple[int, ...]: ...
    @property
    def safe_release(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class AuthorizedFrame:
    """One encoded message to one delivery group that safety has decoded and checked again.

    `said` is what it says: nobody decodes it a second time. Only ``safety.gate`` makes one (a test reads the
    source to make sure), and ``drivers.ports.SlaveDriver`` takes nothing else.
    """

    payload: bytes
    safe_release: bool
    said: Decoded
