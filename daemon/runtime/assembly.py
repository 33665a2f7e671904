"""The only place where parts are chosen: the same for live control, shadow, replay and simulation."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path

from core.parts import WATCHES, Detector, Fallback, Memory, Parts, Watches
from core.site import Site
from daemon.bundles.store import ModelStore
from daemon.calibration.file import (
    CalibrationError,
    CalibrationRecord,
    load_calibration,
    require_site,
)
from daemon.config.sections import INSTALLED, PolicySection
from daemon.config.settings import Settings
from models.bundle import SHIPPED, Bundle, BundleError, builtin_bundle, load_bundle, require_fit
from models.features import FEATURE_NAMES, FeatureObserver
from models.policy import NoPolicy, OnnxPolicy
from safety.anomaly import CalibratedDetector, ZScoreDetector
from safety.gain_rule import (
    learned_pi_gains,
    learned_predictive_gains,
    pi_gains_by_phase,
    predictive_gains_by_phase,
)
from safety.gate import SafetyGate
from safety.pi import PiFallback, PiGains, PiRule
from safety.predictive import PredictiveFallback, PredictiveGains, PredictiveRule
from safety.supervisor import ModeSupervisor
from safety.timers import PersistentFaults


@dataclass(frozen=True, slots=True)
class Assembled:
    """Parts of one controller, and what is known of its policy.

    `problem` is why there is no policy; the fallback acts then. `calibration` is that of the detector's
    tripping tier; without one the detector only flags, and `calibration_problem` says why a configured one
    is not used. `z_threshold` and `clock` are for another policy in the place of this one.
    """

    parts: Parts
    policy: OnnxPolicy | NoPolicy
    bundle: Bundle | None
    problem: str = ""
    calibration: CalibrationRecord | None = None
    calibration_problem: str = ""
    z_threshold: float = 3.0
    clock: Callable[[], float] | None = None


def assemble(
    site: Site,
    fallback: Fallback,
    bundle: Path | Callable[[], Bundle | None] | None,
    *,
    z_threshold: float = 3.0,
    calibration: Path | None = None,
    clock: Callable[[], float] | None = None,
    standing: PersistentFaults | None = None,
    watches: Watches = WATCHES,
) -> Assembled:
    """Put a controller together.

    Args:
        site: the site as commissioned.
        fallback: the controller that always has an answer.
        bundle: the policy's bundle: its directory, or what loads it (raises BundleError); None for a site
            without a policy.
        z_threshold: standard deviations beyond which the detector flags.
        calibration: file of `sunkeep calibrate`; None for a detector that only flags.
        clock: fine clock that measures the policy's latency; None where time is simulated.
        standing: fallbacks and latches that outlived a restart.
        watches: what a decision observes of its own loop.
    """
    loaded, problem = _bundle(bundle, site)
    calibrated, calibration_problem = _calibration(calibration, site)
    policy = NoPolicy() if loaded is None else OnnxPolicy(loaded, clock)
    parts = Parts(
        site=site,
        observer=FeatureObserver(),
        policy=policy,
        fallback=fallback,
        detector=_detector(loaded, z_threshold, calibrated),
        supervisor=ModeSupervisor(standing),
        gate=SafetyGate(site),
        watches=watches,
    )
    return Assembled(parts, policy, loaded, problem, calibrated, calibration_problem, z_threshold, clock)


def with_policy(assembled: Assembled, memory: Memory, bundle: Bundle | None) -> tuple[Assembled, Memory]:
    """The same controller with another policy, or with none; between two ticks, live and in a replay.

    The flag tier follows the bundle's statistics, and the policy's own memory begins cold; everything else
    goes on.
    """
    policy = NoPolicy() if bundle is None else OnnxPolicy(bundle, assembled.clock)
    detector = _detector(bundle, assembled.z_threshold, assembled.calibration)
    parts = replace(assembled.parts, policy=policy, detector=detector)
    changed = replace(assembled, parts=parts, policy=policy, bundle=bundle, problem="")
    return changed, replace(memory, policy=policy.cold)


def assemble_from(
    settings: Settings,
    clock: Callable[[], float] | None = None,
    standing: PersistentFaults | None = None,
    bundle: Callable[[], Bundle | None] | None = None,
    calibration: Path | None = None,
    watches: Watches = WATCHES,
) -> Assembled:
    """The controller that a configuration describes.

    `bundle` loads another policy than it names, `calibration` is another file than it names.
    """
    site = settings.core_site()
    return assemble(
        site,
        fallback_law(settings, site),
        bundle or partial(configured_bundle, settings),
        z_threshold=settings.anomaly.z_threshold,
        calibration=calibration or settings.anomaly.calibration,
        clock=clock,
        standing=standing,
        watches=watches,
    )


def fallback_law(settings: Settings, site: Site) -> Fallback:
    """The configured fallback; where the slaves were measured, with the gains that follow from that."""
    if settings.fallback.law == "predictive":
        return PredictiveFallback(
            site, predictive_gains_on(site, settings), predictive_rule_on(site, settings)
        )
    return PiFallback(site, pi_gains_on(site, settings), pi_rule_on(site, settings))


def describe_fallback(settings: Settings) -> str:
    """Law and gains in force: two that read alike act alike."""
    site = settings.core_site()
    gains: tuple[PiGains | PredictiveGains, ...] = (
        predictive_gains_on(site, settings)
        if settings.fallback.law == "predictive"
        else pi_gains_on(site, settings)
    )
    return repr(gains[0]) if len(set(gains)) == 1 else repr(gains)


def pi_gains(settings: Settings) -> PiGains:
    """Gains of the PI controller as configured; its own where none are given."""
    return replace(PiGains(), **_given(settings, PiGains))


def predictive_gains(settings: Settings) -> PredictiveGains:
    """Gains of the predictive law as configured; its own where none are given."""
    return replace(PredictiveGains(), **_given(settings, PredictiveGains))


def pi_gains_on(site: Site, settings: Settings | None = None) -> tuple[PiGains, PiGains, PiGains]:
    """Gains of each phase: as configured, else by what was measured, else the law's own."""
    given = {} if settings is None else _given(settings, PiGains)
    a, b, c = (replace(gains, **given) for gains in pi_gains_by_phase(site, PiGains()))
    return a, b, c


def pi_rule_on(site: Site, settings: Settings | None = None, margin_w: float | None = None) -> PiRule:
    """Gains of a phase by what its moves have told; configured ones win. `margin_w` is aimed at where
    given."""
    given = {} if settings is None else _given(settings, PiGains)
    if margin_w is not None:
        given = given | {"margin_w": margin_w}
    return lru_cache(maxsize=8)(
        lambda learned: replace(learned_pi_gains(learned, site.period_s, PiGains()), **given)
    )


def predictive_rule_on(
    site: Site, settings: Settings | None = None, margin_w: float | None = None
) -> PredictiveRule:
    """Gains of a phase by what its moves have told; configured ones win. `margin_w` is aimed at where
    given."""
    given = {} if settings is None else _given(settings, PredictiveGains)
    if margin_w is not None:
        given = given | {"margin_w": margin_w}
    return lru_cache(maxsize=8)(
        lambda learned: replace(learned_predictive_gains(learned, PredictiveGains()), **given)
    )


def predictive_gains_on(
    site: Site, settings: Settings | None = None
) -> tuple[PredictiveGains, PredictiveGains, PredictiveGains]:
    """Gains of each phase: as configured, else by what was measured, else the law's own."""
    given = {} if settings is None else _given(settings, PredictiveGains)
    a, b, c = (replace(gains, **given) for gains in predictive_gains_by_phase(site, PredictiveGains()))
    return a, b, c


def _given(settings: Settings, gains: type[PiGains | PredictiveGains]) -> dict[str, float]:
    """The gains of a law that the configuration names."""
    named = ((field.name, getattr(settings.fallback, field.name)) for field in fields(gains))
    return {name: value for name, value in named if value is not None}


def bundle_directory(name: str) -> Path:
    """Where a bundle lies: the name of one that ships, or a directory."""
    return builtin_bundle(name) if name in SHIPPED else Path(name)


def configured_bundle(settings: Settings) -> Bundle:
    """The bundle that a configuration names, verified, and signed where it trusts certain keys only.

    Raises:
        BundleError: it must not be used, or nothing is active where the active one is asked for.
    """
    if settings.policy.bundle != INSTALLED:
        return named_bundle(settings.policy)
    store = ModelStore(settings.state.directory, settings.policy.trusted_keys)
    return store.load(store.active.load().active)


def named_bundle(policy: PolicySection) -> Bundle:
    """The bundle that is configured by its name or its folder, verified as `configured_bundle` does.

    Raises:
        BundleError: it must not be used.
    """
    return load_bundle(bundle_directory(policy.bundle), trusted_keys=policy.trusted_keys)


def known_directories(settings: Settings, first: str) -> Iterator[Path]:
    """Where a bundle of the past may lie: there first of all, as configured, in the store, as shipped."""
    if first:
        yield Path(first)
    if settings.policy.bundle != INSTALLED:
        yield bundle_directory(settings.policy.bundle)
    with suppress(BundleError):
        yield from (item.directory for item in ModelStore(settings.state.directory).installed())
    yield from map(builtin_bundle, SHIPPED)


def _bundle(bundle: Path | Callable[[], Bundle | None] | None, site: Site) -> tuple[Bundle | None, str]:
    if bundle is None:
        return None, ""
    try:
        loaded = load_bundle(bundle) if isinstance(bundle, Path) else bundle()
        if loaded is not None:
            require_fit(loaded.manifest, site)
    except BundleError as error:
        return None, str(error)
    return loaded, ""


def _calibration(file: Path | None, site: Site) -> tuple[CalibrationRecord | None, str]:
    if file is None:
        return None, ""
    try:
        record = load_calibration(file)
        require_site(record, site)
    except CalibrationError as error:
        return None, str(error)
    return record, ""


def _detector(bundle: Bundle | None, z_threshold: float, calibrated: CalibrationRecord | None) -> Detector:
    """The flag tier, with the tripping tier above it once the site is calibrated."""
    flags = _flags(bundle, z_threshold)
    return flags if calibrated is None else CalibratedDetector(flags, calibrated.calibration())


def _flags(bundle: Bundle | None, z_threshold: float) -> ZScoreDetector:
    """Flags against the data the policy was trained on; silent without a policy."""
    if bundle is None:
        return ZScoreDetector((), (), (), z_threshold)
    statistics = bundle.normalization
    names = (*FEATURE_NAMES, "action_w_a", "action_w_b", "action_w_c")
    columns = [*(statistics.features[name] for name in FEATURE_NAMES), *statistics.action_w]
    return ZScoreDetector(names, tuple(c.mean for c in columns), tuple(c.std for c in columns), z_threshold)
