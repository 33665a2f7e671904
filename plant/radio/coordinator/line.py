"""What a serial line does to the frames on it."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TypeAlias

Line: TypeAlias = Callable[[bytes], bytes | None]
"""Takes one frame as it travels (stuffed, without its flag); gives what arrives, None if nothing does."""

_RESET_FRAMES = (0xC0, 0xC1)
"""RST and RSTACK: ASH repeats neither, so losing one tests the host's start-up timeout and nothing else."""


def clean(frame: bytes) -> bytes:
    """The line that changes nothing."""
    return frame


class Noisy:
    """Loses whole frames and flips single bits.

    Args:
        rng: source of chance.
        loss: probability that a frame vanishes.
        corruption: probability that one bit of a surviving frame flips.
    """

    def __init__(self, rng: Random, *, loss: float = 0.0, corruption: float = 0.0) -> None:
        self._rng, self.loss, self.corruption = rng, loss, corruption
        self.counts: Counter[str] = Counter()

    def __call__(self, frame: bytes) -> bytes | None:
        self.counts["offered"] += 1
        if frame[0] in _RESET_FRAMES:
            return frame
        if self._rng.random() < self.loss:
            self.counts["lost"] += 1
            return None
        if self._rng.random() < self.corruption:
            self.counts["corrupted"] += 1
            at = self._rng.randrange(len(frame))
            flipped = frame[at] ^ 1 << self._rng.randrange(8)
            return frame[:at] + bytes([flipped]) + frame[at + 1 :]
        return frame
