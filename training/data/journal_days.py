"""A site's own days out of its journals: the power at its meter as it would be without slaves.

What the sun gives and the house takes does not depend on the slaves. So the reading of every fresh sample,
less what the daemon's estimator believed the slaves to draw or feed, can be lived again under any
controller. Nothing here needs torch.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plant.site.trace import DAY_S
from training.data.samples import DatasetError, DatasetTerms, journal_samples

AFTER_START_S = 15
"""After a start nobody knows what the slaves drew before; a command has died out after so long."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SiteDays:
    """UTC days by date, [86400, 3] in W each, + import; seconds that nobody knows are NaN."""

    terms: DatasetTerms
    bare_w: dict[str, Floats]


def read_site_days(folders: Iterable[Path], tell: Callable[[str], None] = lambda _date: None) -> SiteDays:
    """Every day of these journals, in order. Where journals overlap, the later folder counts.

    Args:
        folders: journals of one site; a folder of segments, or one file.
        tell: is told every date that is reached.

    Raises:
        JournalError, DatasetError, SettingsError: of `training.data.samples.journal_samples`; or role or
        metering
            changed on the way.
    """
    folders = list(folders)
    days: dict[int, Floats] = {}
    terms: DatasetTerms | None = None
    started_s, newest = 0, -1
    for found, sample in chain.from_iterable(journal_samples(folder, decides=False) for folder in folders):
        if found != (terms := terms or found):
            where = ", ".join(map(str, folders))
            raise DatasetError(f"{where}: role or metering changed on the way; give each part by itself")
        started_s = sample.second if sample.is_start else started_s
        if not (sample.estimate.fresh and sample.second >= started_s + AFTER_START_S):
            continue
        day, second = divmod(sample.second - 1, DAY_S)  # a sample speaks of the second before its tick
        if day not in days:
            days[day] = np.full((DAY_S, 3), np.nan)
        if day != newest:
            newest = day
            tell(_date(day))
        estimate = sample.estimate
        days[day][second] = [
            grid_w - estimate.sign * slaves_w
            for grid_w, slaves_w in zip(sample.snapshot.grid_power_w, estimate.model_w, strict=True)
        ]
    if terms is None:
        raise DatasetError(f"{', '.join(map(str, folders))}: no tick in these journals")
    return SiteDays(terms, {_date(day): bare_w for day, bare_w in sorted(days.items())})


def _date(day: int) -> str:
    return str(np.datetime64(day, "D"))
