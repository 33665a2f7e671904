"""Follows the configuration file: mode and policy change between two ticks, a bad file changes nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.modes import ModePlan
from daemon.config.settings import Settings, SettingsError, load_settings
from daemon.monitoring.figures import Figures

LOOK_EVERY_S = 1.0
SETTLE_S = 1.0
"""An editor may write in several steps: a change counts once the file has been still for this long."""


@dataclass(slots=True)
class Reloader:
    """Follows the file. `now` asks for a look at once (SIGHUP); `policy` is told of new settings.

    `admit` gives the reason why a mode must not follow the one in force, else nothing; `in_force` is what
    acts, which with a plan is not what the file says.
    """

    path: Path
    settings: Settings
    site_seed: bytes
    policy: Callable[[Settings], None] = lambda _: None
    admit: Callable[[Settings, ModePlan], str] = lambda *_: ""
    in_force: Callable[[], ModePlan] = ModePlan
    now: asyncio.Event = field(default_factory=asyncio.Event)
    plan: ModePlan = field(init=False)
    _seen: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.plan = self.settings.plan(self.site_seed)
        self._seen = self._stamp()

    async def watch(self, tell: Callable[..., None], figures: Figures) -> None:
        """Look once a second, for ever."""
        while True:
            asked = await self._wait(LOOK_EVERY_S)
            stamp = self._stamp()
            if not asked and stamp == self._seen:
                continue
            if not asked:
                await asyncio.sleep(SETTLE_S)
                if self._stamp() != stamp:
                    continue
            self._seen = stamp
            await self._take_over(tell, figures)

    async def _wait(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self.now.wait(), seconds)
        except TimeoutError:
            return False
        self.now.clear()
        return True

    async def _take_over(self, tell: Callable[..., None], figures: Figures) -> None:
        try:
            settings = await asyncio.to_thread(load_settings, self.path)  # a large file takes its time
        except SettingsError as error:
            figures.configuration_refused(str(error.problems[0]))
            tell("configuration_refused", reason=str(error.problems[0]), kept="the one in force")
            return
        plan = settings.plan(self.site_seed)
        if refused := self.admit(settings, plan):
            figures.configuration_refused(refused)
            tell("configuration_refused", reason=refused, kept="the one in force")
            return
        self.plan = plan
        self.policy(settings)
        figures.adopt(figures.site, replace(figures.about, mode=self.in_force().mode))
        figures.configuration_accepted()
        waiting = _after_restart(self.settings, settings)
        tell("configuration_reloaded", mode=self.in_force().mode.value, after_restart=", ".join(waiting))

    def _stamp(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except OSError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_ino)


def _after_restart(old: Settings, new: Settings) -> list[str]:
    """Sections that take effect only with a restart."""
    names: list[Any] = [name for name in type(old).model_fields if name not in ("mode", "rollout", "policy")]
    return [name for name in names if getattr(old, name) != getattr(new, name)]
