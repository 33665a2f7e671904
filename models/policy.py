"""The learned policy as a part of the decision."""

from collections.abc import Callable, Sequence

from core.site import Phases, per_phase
from models.bundle import Bundle
from models.inference import GraphError, Recurrent


class OnnxPolicy:
    """Proposes what the bundle's graph computes. Satisfies `core.parts.Policy`."""

    def __init__(self, bundle: Bundle, clock: Callable[[], float] | None = None) -> None:
        """Use a verified bundle.

        Args:
            bundle: its session must not be used by two at once.
            clock: seconds with fine resolution (``time.perf_counter``), to measure the latency; without
                one nothing is measured.
        """
        self.bundle = bundle
        self.last_latency_s = 0.0
        """How long the last answer took; 0 when it is not measured."""
        self._session = bundle.session
        self._clock = clock

    @property
    def cold(self) -> Recurrent:
        """Zeros for every memory tensor of the bundle."""
        return self._session.cold

    def propose(self, observation: Sequence[float], memory: Recurrent) -> tuple[Phases | None, Recurrent]:
        """The proposed action in W per phase, and the recurrent state for the next tick.

        None and a cold memory when anything going in or coming out is not finite or the runtime fails.
        """
        started_s = self._clock() if self._clock else 0.0
        try:
            answer = self._session.run(observation, memory)
        except GraphError:
            answer = None
        if self._clock:
            self.last_latency_s = self._clock() - started_s
        if answer is None:
            return None, self.cold
        action_w, following = answer
        return per_phase(list(action_w)), following


class NoPolicy:
    """In the place of a missing or refused bundle: never proposes anything."""

    last_latency_s = 0.0

    @property
    def cold(self) -> Recurrent:
        """Nothing to carry."""
        return ()

    def propose(self, observation: Sequence[float], memory: Recurrent) -> tuple[Phases | None, Recurrent]:
        """No proposal."""
        return None, ()
