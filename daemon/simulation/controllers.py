"""Controllers ready to act in a simulation, chosen by name."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from core.decision import Authority
from core.parts import initial_memory
from core.site import Site
from daemon.config.sections import BUILTIN
from daemon.config.settings import Settings
from daemon.runtime.assembly import (
    Assembled,
    assemble,
    bundle_directory,
    configured_bundle,
    fallback_law,
    pi_gains_on,
    pi_rule_on,
    predictive_gains_on,
    predictive_rule_on,
)
from daemon.simulation.simulate import SimulatedController
from models.bundle import BundleError
from safety.pi import PiFallback
from safety.predictive import PredictiveFallback
from safety.supervisor import ModeSupervisor


def pilot(
    controller: str,
    site: Site,
    settings: Settings | None = None,
    bundle: Path | None = None,
    margin_shift_w: float = 0.0,
) -> SimulatedController | None:
    """A controller that acts from the first second.

    Args:
        controller: one of `daemon.simulation.simulate.CONTROLLERS`; None is returned for "none".
        site: the site that is simulated.
        settings: gains and bundle as configured; the defaults without.
        bundle: the policy's directory, before the configured one.
        margin_shift_w: added to the import margin of "pi" and "predictive".

    Raises:
        BundleError: the policy's bundle must not be used.
    """
    if controller == "none":
        return None
    if controller == "policy":
        law = (
            PiFallback(site, pi_gains_on(site), pi_rule_on(site))
            if settings is None
            else fallback_law(settings, site)
        )
        if settings is not None and bundle is None:
            assembled = assemble(site, law, partial(configured_bundle, settings))
        else:
            assembled = assemble(site, law, bundle_directory(str(bundle or BUILTIN)))
        if assembled.problem:
            raise BundleError(assembled.problem, "Give another bundle with --bundle.")
        return _warm(assembled, Authority.POLICY)
    return _warm(assemble(site, _law(controller, site, settings, margin_shift_w), None), Authority.FALLBACK)


def _law(
    controller: str, site: Site, settings: Settings | None, margin_shift_w: float
) -> PiFallback | PredictiveFallback:
    """The named law with its configured gains; a configuration holds the gains of the law it chose."""
    own = settings if settings is not None and settings.fallback.law == controller else None
    if controller == "pi":
        a, b, c = (replace(g, margin_w=g.margin_w + margin_shift_w) for g in pi_gains_on(site, own))
        return PiFallback(site, (a, b, c), pi_rule_on(site, own, a.margin_w))
    d, e, f = (replace(g, margin_w=g.margin_w + margin_shift_w) for g in predictive_gains_on(site, own))
    return PredictiveFallback(site, (d, e, f), predictive_rule_on(site, own, d.margin_w))


def _warm(assembled: Assembled, authority: Authority) -> SimulatedController:
    parts = assembled.parts
    memory = replace(initial_memory(parts), watch=ModeSupervisor().warm)
    return SimulatedController(parts, memory, authority)
