"""What a daemon knows before it opens a wire: configuration, measurements, what outlived a restart."""

import os
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from core.causes import Cause
from daemon.config.settings import Settings, read_site_key
from daemon.journal.records import Start
from daemon.monitoring.telemetry import SiteInfo
from daemon.policy.policy_swap import DesiredPolicy, desired_policy, policy_name
from daemon.runtime.assembly import Assembled, assemble_from
from daemon.runtime.state_directory import open_counter
from daemon.runtime.supervisor_state import SupervisorStateFile
from daemon.service.measured_slaves import Numbers, measured_numbers
from daemon.service.restarts import STORM
from daemon.system.log import log
from daemon.system.release import release
from drivers.zigbee.frame_counter import FrameCounter
from safety.timers import PersistentFaults, start, to_record


@dataclass(frozen=True, slots=True)
class Prepared:
    """The state directory and the configuration, read; the parts of the controller, chosen.

    `settings` has the measured numbers of the slaves, `configured` is what the file says. `wanted` is what
    was asked for when the policy was loaded; `unordered_ends` counts those of the last ten minutes.
    """

    path: Path
    configured: Settings
    settings: Settings
    measured: Numbers
    key: bytes
    counter: FrameCounter
    supervisor_file: SupervisorStateFile
    standing: PersistentFaults
    wanted: DesiredPolicy
    assembled: Assembled
    unordered_ends: int

    @property
    def is_storm(self) -> bool:
        """Whether the process ended so often that no policy may act."""
        return self.unordered_ends >= STORM

    def about(self, remark: str) -> SiteInfo:
        """What people see of the configuration."""
        assembled, settings = self.assembled, self.settings
        return SiteInfo(
            site_name=settings.site.name,
            mode=settings.mode.mode,
            fallback_law=settings.fallback.law,
            policy_name=policy_name(assembled.bundle),
            policy_problem=assembled.problem,
            version=release(),
            remark=remark,
            anomaly_calibrated=assembled.calibration is not None,
        )

    def start_record(self) -> Start:
        """The first line of the journal of this run: what a replay begins with."""
        bundle, calibration = self.assembled.bundle, self.assembled.calibration
        return Start(
            version=version("sunkeep"),
            unix_s=time.time(),
            run=str(os.getpid()),
            settings_path=str(self.path.absolute()),
            settings_toml=self.path.read_text(),
            bundle_sha256="" if bundle is None else bundle.sha256,
            bundle_directory="" if bundle is None else str(bundle.directory.absolute()),
            calibration_sha256="" if calibration is None else calibration.sha256,
            measured=self.measured,
            watches=self.assembled.parts.watches.names,
            standing=to_record(self.standing),
        )


def prepare(configured: Settings, path: Path, unordered_ends: int) -> Prepared:
    """Read what is on the disk, and choose the parts.

    Raises:
        StartError, SettingsError: something on the disk does not let the daemon begin; says what to do.
    """
    measured = measured_numbers(configured)
    settings = configured.with_measured(measured)
    key = read_site_key(settings, path)
    counter = open_counter(settings.state.directory)
    supervisor_file = SupervisorStateFile(settings.state.directory)
    standing = supervisor_file.restore()
    if unordered_ends >= STORM:
        standing = start(standing, Cause.RESTART_STORM)
    wanted = desired_policy(settings)
    assembled = assemble_from(settings, time.perf_counter, standing)
    if assembled.problem:
        log.warning("policy_refused", reason=assembled.problem, acting="fallback")
    _tell_calibration(assembled)
    return Prepared(
        path,
        configured,
        settings,
        measured,
        key,
        counter,
        supervisor_file,
        standing,
        wanted,
        assembled,
        unordered_ends,
    )


def _tell_calibration(assembled: Assembled) -> None:
    """Whether anomalies can trip: a detector that only flags says so at every start."""
    if assembled.calibration is not None:
        record = assembled.calibration
        log.info("anomaly_calibrated", days=round(record.days, 1), sha256=record.sha256[:16])
    else:
        reason = assembled.calibration_problem or "no [anomaly] calibration; make one with sunkeep calibrate"
        log.warning("anomaly_uncalibrated", detector="flags only", reason=reason)
