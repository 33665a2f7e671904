"""Another policy between two ticks: loaded and verified beside the loop, taken over in it.

A tick without a policy lies between the old one and the new one. To the supervisor that is a policy that gave
no answer, so the fallback takes over and the new policy has to propose cleanly for as long as after any fault
(`safety.supervisor.CLEAN_PROPOSALS`) before it acts. A bundle that must not be used changes nothing.

Two exceptions. A policy in force that no trusted key has signed goes when a changed configuration asks for a
signature, as it would with a restart. And one that misses its golden vectors goes at once: they are run again
every hour, because memory can go wrong while the file is sound. The fallback acts then; a bundle that was
spoilt in memory is loaded and verified anew.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, TypeAlias

from core.parts import Memory, Parts
from daemon.bundles.store import ModelStore
from daemon.config.sections import INSTALLED, PolicySection
from daemon.config.settings import Settings
from daemon.journal.records import AnyRecord, PolicyChange
from daemon.monitoring.figures import Figures
from daemon.runtime.assembly import Assembled, named_bundle, with_policy
from models.bundle import Bundle, BundleError, is_trusted, require_fit
from models.inference import GraphError

LOOK_EVERY_S = 1.0
SELF_TEST_EVERY_S = 3600.0
"""32 inferences, some milliseconds, in the pause after a tick."""
TICKS_TO_WAIT = 3

DesiredPolicy: TypeAlias = tuple[PolicySection, tuple[tuple[int, int], ...]]
"""What the configuration asks for, and the stamp of the store when that decides."""


def desired_policy(settings: Settings, policy: PolicySection | None = None) -> DesiredPolicy:
    """What is wanted now: cheap, and different once anything was configured or activated."""
    policy = policy or settings.policy
    stored = policy.bundle == INSTALLED
    return policy, ModelStore(settings.state.directory).active.stamp() if stored else ()


@dataclass(slots=True)
class PolicySwap:
    """Holds the policy in force, and the one that waits for the next tick.

    `tell` records events, `record` puts a line into the journal; `tried` is what was wanted when the policy
    in force was loaded, `adopted` is called with what is in force from now on.
    """

    settings: Settings
    assembled: Assembled
    figures: Figures
    tell: Callable[..., None]
    record: Callable[[AnyRecord], None]
    tried: DesiredPolicy
    adopted: Callable[[Assembled], None] = lambda _assembled: None
    configured: PolicySection = field(init=False)
    _waiting: Bundle | None = None
    _distrusted: bool = False
    _damaged: bool = False
    _loads_again: bool = False
    _tested_at_s: float = 0.0
    _withdrawn_tick: int = -1
    _lived: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.configured = self.settings.policy

    def policy_latency_s(self) -> float:
        """How long the policy in force took for its last answer, in whole microseconds."""
        return round(self.assembled.policy.last_latency_s, 6)

    def configure(self, settings: Settings) -> None:
        """The configuration was loaded again: from the next look on it says what is wanted."""
        self.configured = settings.policy

    def describe(self) -> dict[str, Any]:
        """What is in force, for operators, and whether everything wanted was looked at: plain values."""
        bundle = self.assembled.bundle
        is_still = self._waiting is None and not self._distrusted
        return {
            "configured": self.configured.bundle,
            "policy": policy_name(bundle),
            "sha256": "" if bundle is None else bundle.sha256,
            "problem": self.figures.about.policy_problem,
            "is_settled": is_still and desired_policy(self.settings, self.configured) == self.tried,
        }

    def between_ticks(self, tick: int, memory: Memory) -> tuple[Parts, Memory] | None:
        """Parts and memory from this tick on; None when nothing changes. For the loop alone.

        Args:
            tick: number of the tick that comes; a tick that failed comes again.
            memory: what the tick before left.
        """
        if tick == self._withdrawn_tick:
            return None
        withdrawn = "no trusted signature" if self._distrusted else "failed its self-test"
        is_withdrawn = self._distrusted or self._damaged
        if is_withdrawn:
            self.tell("policy_withdrawn", policy=policy_name(self.assembled.bundle), reason=withdrawn)
            self.figures.policy_withdrawn()
        if self.assembled.bundle is not None and (self._waiting is not None or is_withdrawn):
            self._withdrawn_tick, self._distrusted, self._damaged = tick, False, False
            return self._change(memory, None)
        if self._waiting is None:
            return None
        bundle, self._waiting = self._waiting, None
        parts, memory = self._change(memory, bundle)
        self.figures.policy_swapped(policy_name(bundle))
        self.tell("policy_swapped", policy=policy_name(bundle), sha256=bundle.sha256[:16])
        return parts, memory

    async def watch(self) -> None:
        """Look once a second, for ever."""
        self._tested_at_s = asyncio.get_running_loop().time()
        while True:
            await self.look()
            await self.self_test()
            await asyncio.sleep(LOOK_EVERY_S)

    async def self_test(self) -> None:
        """Once an hour: whether the session that runs still answers its golden vectors."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._tested_at_s < SELF_TEST_EVERY_S:
            return
        self._tested_at_s = now_s
        await self._after_tick()
        bundle = self.assembled.bundle
        if bundle is None:
            return
        try:
            error_w = bundle.session.golden_error_w(bundle.golden)
        except GraphError:
            error_w = inf
        if not error_w <= bundle.manifest.golden_tolerance_w:
            self._damaged = self._loads_again = True
            reason = f"misses its golden vectors by {error_w:.3f} W"
            self.tell("policy_self_test_failed", policy=policy_name(bundle), reason=reason)

    async def look(self) -> None:
        """Load what is wanted if that has changed. A bundle that must not be used is told once."""
        wanted = desired_policy(self.settings, self.configured)
        if wanted == self.tried and (self._damaged or not self._loads_again):
            return  # a damaged one makes way first: what is loaded anew has the same bytes
        self._loads_again = False
        await self._after_tick()
        try:
            bundle = await asyncio.to_thread(self._load, self.configured)
        except BundleError as error:
            self._refuse(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a bundle does, control goes on
            self._refuse(f"{type(error).__name__}: {error}")
        else:
            if bundle is not None:
                self._accept(bundle)
            self._judge_trust()
            if bundle is None:
                return
        self.tried = wanted

    def tick_lived(self) -> None:
        """A tick is over: the longest pause in which loading can delay nothing begins now."""
        self._lived.set()

    async def _after_tick(self) -> None:
        """Loading holds the interpreter for 20 ms at a time (measured), twice what an inference may take."""
        self._lived.clear()
        with suppress(TimeoutError):  # while ticks fail, a new policy is no less welcome
            await asyncio.wait_for(self._lived.wait(), TICKS_TO_WAIT * self.settings.site.period_s)

    def _load(self, policy: PolicySection) -> Bundle | None:
        """What is wanted, verified; None while another process is changing that. In a thread of its own.

        Raises:
            BundleError: it must not be used.
        """
        if policy.bundle == INSTALLED:
            store = ModelStore(self.settings.state.directory, policy.trusted_keys)
            choice = store.steady_choice()
            if choice is None:
                return None
            bundle = store.load(choice.active)
        else:
            bundle = named_bundle(policy)
        require_fit(bundle.manifest, self.assembled.parts.site)
        return bundle

    def _accept(self, bundle: Bundle) -> None:
        now = self.assembled.bundle
        # the same bytes, signed since or from another place
        if now is not None and now.sha256 == bundle.sha256:
            kept = replace(now, directory=bundle.directory, signed_by=bundle.signed_by)
            self._waiting, self.assembled = None, replace(self.assembled, bundle=kept)
        else:
            self._waiting = bundle
        self.figures.policy_accepted()

    def _refuse(self, reason: str) -> None:
        self._judge_trust()
        in_force = None if self._distrusted else self.assembled.bundle
        kept = policy_name(in_force or self._waiting) or "the fallback"
        self.figures.policy_refused(reason)
        self.tell("policy_swap_refused", wanted=self.configured.bundle, reason=reason, kept=kept)

    def _judge_trust(self) -> None:
        """What is in force or waits was loaded under keys that may not be trusted any more."""
        keys, now = self.configured.trusted_keys, self.assembled.bundle
        self._distrusted = now is not None and not is_trusted(now, keys)
        if self._waiting is not None and not is_trusted(self._waiting, keys):
            self._waiting = None
            if now is None:  # what was in force has made way for it already
                self.figures.policy_withdrawn()

    def _change(self, memory: Memory, bundle: Bundle | None) -> tuple[Parts, Memory]:
        self.assembled, memory = with_policy(self.assembled, memory, bundle)
        sha256, directory = ("", "") if bundle is None else (bundle.sha256, str(bundle.directory.absolute()))
        change = PolicyChange(unix_s=time.time(), bundle_sha256=sha256, bundle_directory=directory)
        self.record(change)
        self.adopted(self.assembled)
        return self.assembled.parts, memory


def policy_name(bundle: Bundle | None) -> str:
    """Name and version, as people see them; empty without a policy."""
    return "" if bundle is None else f"{bundle.manifest.name} {bundle.manifest.bundle_version}"
