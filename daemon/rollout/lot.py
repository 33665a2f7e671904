"""Guards of the comparison by lot: do as many blocks of each controller arrive as the lot gave out?

A block counts once half of it was measured. Where blocks of one controller drop out more often than those of
the other, whatever is left of them compares two kinds of time, not two controllers (sample ratio mismatch).
"""

from dataclasses import dataclass, replace
from math import inf, lgamma, log

ALPHA = 0.001
"""Chance with which a sound lot is ever called broken, however often one looks (the usual threshold of
sample-ratio tests: Fabijan et al. 2019)."""
PRIOR = 50.0
"""Weight, in blocks, of the belief that the share is about right: most alternatives of interest are near."""
MEASURED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class OpenBlock:
    """The block under way: whose it is by lot, with which probability, and how much of it was measured."""

    index: int
    is_policy: bool
    propensity: float
    measured_s: float = 0.0
    is_mixed: bool = False


@dataclass(frozen=True, slots=True)
class LotCount:
    """Whole blocks of a step by whom the lot gave them to, those that fell short, and the test so far.

    `log_e` is the evidence against the lot, the largest there was: once broken, it stays broken.
    """

    policy: int = 0
    fallback: int = 0
    policy_short: int = 0
    fallback_short: int = 0
    log_e: float = 0.0

    @property
    def is_broken(self) -> bool:
        """Whether blocks arrive in another ratio than the lot gives them out in."""
        return self.log_e >= log(1.0 / ALPHA)

    def add(self, block: OpenBlock, block_s: float) -> "LotCount":
        """With a block that is over."""
        if not 0.0 < block.propensity < 1.0:
            return self
        is_whole = block.measured_s >= MEASURED_SHARE * block_s and not block.is_mixed
        if not is_whole:
            return replace(
                self,
                policy_short=self.policy_short + block.is_policy,
                fallback_short=self.fallback_short + (not block.is_policy),
            )
        policy, fallback = self.policy + block.is_policy, self.fallback + (not block.is_policy)
        now = log_e_value(policy, fallback, block.propensity)
        return replace(self, policy=policy, fallback=fallback, log_e=max(self.log_e, now))


def log_e_value(policy: int, fallback: int, share: float) -> float:
    """Log e-value against "each block is the policy's with this probability".

    The likelihood ratio against a beta mixture around the share: a martingale under a sound lot, so that by
    Ville's inequality it reaches 1 / alpha with a chance of alpha at most (Lindon and Malek 2022). Pairs, one
    of each, vary less than that: the bound is on the safe side.
    """
    if not 0.0 < share < 1.0:
        return -inf
    a, b = PRIOR * share, PRIOR * (1.0 - share)
    mixed = _log_beta(a + policy, b + fallback) - _log_beta(a, b)
    return mixed - policy * log(share) - fallback * log(1.0 - share)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
