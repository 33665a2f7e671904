"""The radio channel: how long a frame takes, and whether it is lost. All chance is an argument."""

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from plant.radio.link import BURST_EVERY_S, COMMON_SHARES, HOP_CHANCES, JITTER_CHANCE, LONGEST_S

Delay: TypeAlias = Callable[[int], list[float]]
"""Given the number of receivers of one frame, the seconds after which each of them acts on it."""
Loss: TypeAlias = Callable[[int, float], bool]
"""Given a receiver's network address and the monotonic instant, whether it misses this frame."""

HOP_S = 0.005
"""One unicast hop: about 2 ms on air plus channel access and acknowledgement."""


def immediate(receivers: int) -> list[float]:
    """No delay."""
    return [0.0] * receivers


def no_loss(address: int, at_s: float) -> bool:
    """Everything arrives."""
    return False


def unicast_delay(rng: Random) -> Delay:
    """One to three hops, each with channel access."""
    return lambda receivers: [rng.randint(1, 3) * (HOP_S + rng.uniform(0.0, HOP_S)) for _ in range(receivers)]


class CommandDelay:
    """From the broadcast of a command until a slave acts on it: about 1 to 3 s, at most 5 s.

    One second at least, plus a part common to all receivers of the frame, plus an extra hop for some and
    a rare straggler. The distributions are those the controllers are tuned for.

    Args:
        rng: source of chance.
        common: probabilities of 0, 1 and 2 s more, the same for everybody.
        hop: probability of one more second for a receiver.
        straggler: probability of yet another second for a receiver.
    """

    LEAST_S, MOST_S = 1.0, float(LONGEST_S)

    def __init__(
        self,
        rng: Random,
        *,
        common: tuple[float, float, float] = COMMON_SHARES[0],
        hop: float = HOP_CHANCES[1],
        straggler: float = JITTER_CHANCE,
    ) -> None:
        self._rng, self._common, self._hop, self._straggler = rng, common, hop, straggler

    def __call__(self, receivers: int) -> list[float]:
        common_s = self._rng.choices((0.0, 1.0, 2.0), self._common)[0]
        return [min(self.MOST_S, self.LEAST_S + common_s + self._extra_s()) for _ in range(receivers)]

    def _extra_s(self) -> float:
        return float(self._rng.random() < self._hop) + float(self._rng.random() < self._straggler)


class IndependentLoss:
    """Every receiver misses every frame with the same probability."""

    def __init__(self, rng: Random, probability: float) -> None:
        self._rng, self.probability = rng, probability

    def __call__(self, address: int, at_s: float) -> bool:
        return self._rng.random() < self.probability


class BurstLoss:
    """Gilbert-Elliott: the whole site alternates between a good and a bad state of exponential length.

    The defaults are rare short spells in which everybody is deaf (once in 20 minutes, 3 s) on top of
    a small independent loss.

    Args:
        good_s, bad_s: mean length of the states.
        good_loss, bad_loss: probability of a loss in them.
    """

    def __init__(
        self,
        rng: Random,
        *,
        good_s: float = BURST_EVERY_S,
        bad_s: float = 3.0,
        good_loss: float = 0.02,
        bad_loss: float = 1.0,
    ) -> None:
        self._rng = rng
        self._mean_s, self._loss = (good_s, bad_s), (good_loss, bad_loss)
        self._state = 0
        self._until_s: float | None = None

    def __call__(self, address: int, at_s: float) -> bool:
        if self._until_s is None:
            self._until_s = at_s + self._stay_s()
        while at_s >= self._until_s:
            self._state = 1 - self._state
            self._until_s += self._stay_s()
        return self._rng.random() < self._loss[self._state]

    def _stay_s(self) -> float:
        return self._rng.expovariate(1.0 / self._mean_s[self._state])
