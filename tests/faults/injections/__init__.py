"""What can go wrong at a site, begun and ended again, as it does with hardware."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from tests.campaigns.pairs import Pair

Act: TypeAlias = Callable[[Pair, Random], Coroutine[Any, Any, None] | None]


@dataclass(frozen=True)
class Injection:
    """One fault. `end` brings back what was; a fault that passes by itself has none."""

    name: str
    begin: Act
    end: Act = lambda _pair, _rng: None


async def do(act: Act, pair: Pair, rng: Random) -> None:
    """Call what may be a coroutine."""
    pending = act(pair, rng)
    if pending is not None:
        await pending
