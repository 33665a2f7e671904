"""What a learner learns from: a table of transitions as tensors, however they came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.imitation.demonstrations import orders

_OBSERVATIONS, _ACTIONS = ("observation", "following"), ("action",)


class TransitionsError(ValueError):
    """No usable transitions; the message says why."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """n transitions, or a batch of them, float32 unless said otherwise.

    `terminal` is 1 where nothing follows, so that the future is worth nothing; `truncated` is 1 where the
    record ends although life went on, so that `following` is still worth what it is worth.
    """

    observation: Tensor  # [n, d]; of a site the 30 raw features
    action: Tensor  # [n, a]; of a site W per phase; of discrete choices their index, [n, 1] int64
    reward: Tensor  # [n]
    following: Tensor  # [n, d], the next observation
    terminal: Tensor  # [n], 0 or 1
    truncated: Tensor  # [n], 0 or 1
    log_density: Tensor | None = None  # [n], of the behaviour's action
    mask: Tensor | None = None  # [n, k] bool: which choices were feasible
    weight: Tensor | None = None  # [n], how much the row counts for critics

    def __post_init__(self) -> None:
        for name, values in self._columns().items():
            if len(values) != len(self.observation):
                raise TransitionsError(f"{name} has {len(values)} rows, not {len(self.observation)}")
            if values.is_floating_point() and not bool(values.isfinite().all()):
                raise TransitionsError(f"{name} holds numbers that are not finite")

    def __len__(self) -> int:
        return len(self.observation)

    def _columns(self) -> dict[str, Tensor]:
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: values for name, values in found.items() if values is not None}

    def take(self, rows: Tensor) -> "Transitions":
        """Some rows, by index."""
        return _unchecked({name: values[rows] for name, values in self._columns().items()})

    def to(self, device: torch.device) -> "Transitions":
        """The same transitions on another device."""
        return _unchecked({name: values.to(device) for name, values in self._columns().items()})

    def exchanged(self, columns: Tensor, phases: Tensor) -> "Transitions":
        """The same transitions of a site whose phases have other names: what holds for one holds for all."""
        return _unchecked(
            {
                name: values[:, columns]
                if name in _OBSERVATIONS
                else values[:, phases]
                if name in _ACTIONS
                else values
                for name, values in self._columns().items()
            }
        )


def _unchecked(columns: Mapping[str, Tensor]) -> Transitions:
    """Transitions out of columns that have been checked before."""
    made = object.__new__(Transitions)
    for field in fields(Transitions):
        object.__setattr__(made, field.name, columns.get(field.name))
    return made


class Exchange:
    """Draws an order of the phases for every batch (30 features and 3 phases only)."""

    def __init__(self, device: torch.device) -> None:
        self._columns, self._phases = (torch.from_numpy(part.copy()).to(device) for part in orders())

    def __call__(self, batch: Transitions, generator: torch.Generator) -> Transitions:
        """The batch in that order."""
        order = torch.randint(len(self._phases), (1,), generator=generator, device=generator.device)
        return batch.exchanged(self._columns[int(order)], self._phases[int(order)])


class Sampler:
    """Draws batches of transitions, uniformly and with replacement.

    Args:
        transitions: all of them, on the device where they are used.
        batch: rows of a batch.
        exchange: draw an order of the phases for every batch (30 features and 3 phases only).
    """

    def __init__(self, transitions: Transitions, batch: int = 256, exchange: bool = False) -> None:
        if not len(transitions):
            raise TransitionsError("there are no transitions")
        self._transitions, self._batch = transitions, batch
        self._exchange = Exchange(transitions.observation.device) if exchange else None

    def __call__(self, generator: torch.Generator) -> Transitions:
        """One batch."""
        device = self._transitions.observation.device
        rows = torch.randint(
            len(self._transitions), (self._batch,), generator=generator, device=generator.device
        )
        batch = self._transitions.take(rows.to(device))
        return batch if self._exchange is None else self._exchange(batch, generator)


def from_rows(
    observation: NDArray[np.float32],
    action: NDArray[np.float32],
    reward: NDArray[np.float32],
    segment: NDArray[np.int64],
    terminal: NDArray[np.bool_] | None = None,
    log_density: NDArray[np.float32] | None = None,
) -> Transitions:
    """Transitions out of consecutive rows.

    A row is followed by the next one of its segment. The last row of a segment teaches only where it is
    terminal; elsewhere nobody knows what followed, so it is dropped and the row before it is truncated.
    """
    ends = np.append(segment[1:] != segment[:-1], True)
    stops = np.zeros(len(segment), bool) if terminal is None else terminal.astype(bool)
    kept = np.flatnonzero(~ends | stops)
    following = np.where(stops, np.arange(len(ends)), np.minimum(np.arange(len(ends)) + 1, len(ends) - 1))
    cut = ends[following] & ~stops[following] & ~stops
    return Transitions(
        observation=_tensor(observation[kept]),
        action=_tensor(action[kept]),
        reward=_tensor(reward[kept]),
        following=_tensor(observation[following[kept]]),
        terminal=_tensor(stops[kept]),
        truncated=_tensor(cut[kept]),
        log_density=None if log_density is None else _tensor(log_density[kept]),
    )


def joined(parts: Sequence[Transitions]) -> Transitions:
    """All transitions of several tables; columns that not all of them have are left out."""
    tables = [part._columns() for part in parts]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    return _unchecked({name: torch.cat([table[name] for table in tables]) for name in shared})


def where(mask: Tensor, chosen: Transitions, other: Transitions) -> Transitions:
    """Rows of one table where the mask, [n], holds, and of the other elsewhere; columns that both have."""
    mine, theirs = chosen._columns(), other._columns()
    shared = [name for name in mine if name in theirs]
    picked = {}
    for name in shared:
        wide = mask.reshape(-1, *[1] * (mine[name].dim() - 1))
        picked[name] = torch.where(wide, mine[name], theirs[name])
    return _unchecked(picked)


def _tensor(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
