"""Standard normal noise for actions, new in every step or kept in part from step to step.

A frame takes seconds to act and one is sent every other second at most, so noise that is new in every second
is mostly averaged away before anybody could see what it does. Noise that is kept from second to second moves
the site (coloured noise in on-policy learning: Hollenstein et al. 2023, arXiv:2312.11091).
"""

from math import sqrt

import torch
from torch import Tensor


class KeptNoise:
    """An AR(1) sequence whose every number is standard normal by itself.

    The density of a drawn action given its state is therefore what the policy says it is; only that one
    step's noise foretells the next one's is left out of it.

    Args:
        kept: correlation from one step to the next, 0 for noise that is new in every step.
    """

    def __init__(self, kept: float = 0.0) -> None:
        if not 0.0 <= kept < 1.0:
            raise ValueError(f"{kept} of the noise cannot be kept; at least 0 and less than 1 can")
        self._kept, self._fresh = kept, sqrt(1.0 - kept * kept)
        self._last: Tensor | None = None

    def draw(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """The next numbers, of the shape and on the device of `like`."""
        fresh = torch.randn(like.shape, generator=generator, device=like.device)
        self._last = fresh if self._last is None else self._kept * self._last + self._fresh * fresh
        return self._last
