"""What the status server answers, as bytes: made once per tick at most, and only on request."""

import json
from bisect import bisect_right
from collections.abc import Callable

from daemon.monitoring.figures import Figures
from daemon.monitoring.metrics import Exposition
from daemon.monitoring.status import age_fields, chart_points, document
from daemon.words.translation import words_in

AGAIN_AFTER_S = 1.0
"""While no tick comes, what was made is made anew after this long: ages and rates go on."""


class PageAnswers:
    """The bodies of /metrics and /status.json.

    Args:
        clock: the clock of the snapshots, in s.
    """

    def __init__(self, figures: Figures, clock: Callable[[], float]) -> None:
        self._figures, self._clock = figures, clock
        self._exposition = Exposition(figures)
        self._metrics = b""
        self._status: dict[str, bytes] = {}
        self._points_at_s: list[float] = []
        self._points: list[bytes] = []
        self._made: dict[str, tuple[int, float]] = {}

    def metrics(self) -> bytes:
        """Prometheus text format 0.0.4."""
        if self._is_due("metrics"):
            self._metrics = self._exposition.render(self._clock())
        return self._metrics

    def status(self, since_s: float, language: str = "en") -> bytes:
        """The document of `daemon.monitoring.status` with the points of the chart that are younger than
        `since_s`, its sentences in one of `daemon.words.translation.LANGUAGES`.

        Its ages are of this moment, everything else of the newest tick.
        """
        at_s = self._clock()
        if self._is_due(f"status {language}"):
            self._status[language] = _inside(document(self._figures, at_s, words_in(language)))
        if self._is_due("points"):
            points = chart_points(self._figures)
            self._points_at_s = [point[0] for point in points]
            self._points = [json.dumps(point, allow_nan=False).encode() for point in points]
        young = self._points[bisect_right(self._points_at_s, since_s) :]
        ages = _inside(age_fields(self._figures, at_s))
        return b'{%s, %s, "points": [%s]}' % (ages, self._status[language], b", ".join(young))

    def _is_due(self, name: str) -> bool:
        tick, at_s = self._figures.ticks, self._clock()
        made = self._made.get(name)
        if made is not None and made[0] == tick and 0.0 <= at_s - made[1] < AGAIN_AFTER_S:
            return False
        self._made[name] = (tick, at_s)
        return True


def _inside(table: dict[str, object]) -> bytes:
    """The members of a JSON object without its braces."""
    return json.dumps(table, allow_nan=False).encode()[1:-1]
