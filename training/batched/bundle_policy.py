"""Any policy bundle as a policy of a batch of sites.

Graphs of bundles have room for one site. Where every operation of a graph allows it, its first dimension
is set free, so that one run answers for all sites; the answers are held against the product's own session
before they are believed. Other graphs are run site by site, by that session.
"""

from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from core.limits import PHASE_CAP_W
from models.bundle import Bundle, BundleError, load_bundle
from models.inference import GraphError, open_graph
from models.manifest import POLICY_FILE
from training.batched.simulator import View

Floats: TypeAlias = NDArray[np.float32]
Memories: TypeAlias = tuple[Floats, ...]
"""Recurrent state of all sites: one array for each memory tensor, [n, ...]."""

TRIED_SITES, TRIED_TICKS = 5, 24
EQUAL_W = 0.01
"""Largest difference between a site answered alone and among others (as
`training.artifacts.export.PARITY_W`)."""


class BundlePolicy:
    """Answers for a batch of sites as the bundle answers for one.

    A site whose answer is not finite keeps what was allowed and forgets its memory, and is counted.

    Attributes:
        bundle: the verified bundle.
        is_batched: whether one run of the graph answers for all sites.
        unanswered: answers that were not finite, so far.
        outside: proposals below 0 W or above 5000 W in a phase, so far.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Use a bundle.

        Raises:
            BundleError: its slaves generate, or its ticks are not of 1 s; batches know neither.
        """
        manifest = bundle.manifest
        if manifest.role != "absorb" or manifest.period_s != 1.0:
            raise BundleError(
                f"The bundle is for slaves that {manifest.role}, with ticks of {manifest.period_s:g} s.",
                "Bundles are compared on absorbing slaves with ticks of 1 s.",
            )
        self.bundle = bundle
        self.unanswered = self.outside = 0
        self._outputs = [manifest.output.name, *(tensor.name_out for tensor in manifest.memory)]
        self._shapes = [tensor.shape for tensor in manifest.memory]
        self._session = _opened(bundle)
        self.is_batched = self._session is not None and self._is_equal()
        if not self.is_batched:
            self._session = None

    def __call__(self, view: View, memory: Memories | None) -> tuple[Tensor, Memories]:
        """Proposals in W, [n, 3], and the memory of the next tick."""
        states = np.ascontiguousarray(view.features.numpy(), np.float32)
        action_w, following = self.answer(states, memory if memory is not None else self.cold(len(states)))
        is_answered = np.asarray(np.isfinite(action_w).all(1))
        for table in following:
            is_answered &= np.isfinite(table).reshape(len(table), -1).all(1)
        if not is_answered.all():
            self.unanswered += int((~is_answered).sum())
            action_w = np.where(is_answered[:, None], action_w, view.safe_action_w.numpy())
            for table in following:
                table[~is_answered] = 0.0
        self.outside += int(((action_w < 0.0) | (action_w > PHASE_CAP_W)).sum())
        return torch.from_numpy(action_w).to(view.features.dtype), following

    def cold(self, n: int) -> Memories:
        """The memory of n sites that have seen nothing."""
        return tuple(np.zeros((n, *shape[1:]), np.float32) for shape in self._shapes)

    def answer(self, states: Floats, memory: Memories) -> tuple[Floats, Memories]:
        """[n, 30] and memory to [n, 3] in W and memory, as the graph says it."""
        if self._session is None:
            return self._one_by_one(states, memory)
        names = (tensor.name_in for tensor in self.bundle.manifest.memory)
        feed = {self.bundle.manifest.input.name: states, **dict(zip(names, memory, strict=True))}
        action_w, *following = self._session.run(self._outputs, feed)
        return action_w, tuple(following)

    def _one_by_one(self, states: Floats, memory: Memories) -> tuple[Floats, Memories]:
        action_w = np.full((len(states), 3), np.nan, np.float32)
        following = self.cold(len(states))
        for row, state in enumerate(states):
            recurrent = tuple(tuple(table[row].ravel().tolist()) for table in memory)
            answer = self.bundle.session.run(state.tolist(), recurrent)
            if answer is None:
                continue
            action_w[row] = answer[0]
            for table, values in zip(following, answer[1], strict=True):
                table[row].reshape(-1)[:] = values
        return action_w, following

    def _is_equal(self) -> bool:
        """Whether sites among others get the answers that they get alone, tick after tick."""
        golden = np.asarray([vector.state for vector in self.bundle.golden.vectors], np.float32)
        together = alone = self.cold(TRIED_SITES)
        for tick in range(TRIED_TICKS):
            states = golden[(np.arange(TRIED_SITES) * 7 + tick) % len(golden)]
            try:
                found_w, together = self.answer(states, together)
            except Exception:  # noqa: BLE001 - the runtime's own errors share no narrower base
                return False
            expected_w, alone = self._one_by_one(states, alone)
            if found_w.shape != expected_w.shape or not np.abs(found_w - expected_w).max() <= EQUAL_W:
                return False
        return True


def open_bundle(directory: Path) -> BundlePolicy:
    """Verify a bundle as the daemon does, and open it. Raises BundleError."""
    return BundlePolicy(load_bundle(directory))


def any_batch(content: bytes) -> bytes:
    """The graph with its first dimension set free: of inputs, outputs, and the shapes it is brought into."""
    model = onnx.load_from_string(content)
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "sites"
    del graph.value_info[:]
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in graph.initializer:
        sizes = numpy_helper.to_array(tensor).copy()
        if tensor.name in shapes and sizes.size and -1 not in sizes:
            sizes[0] = -1
            tensor.CopyFrom(numpy_helper.from_array(sizes, tensor.name))
    return bytes(model.SerializeToString())


def _opened(bundle: Bundle) -> ort.InferenceSession | None:
    """The graph for any number of sites; None where it does not open like that."""
    try:
        return open_graph(any_batch((bundle.directory / POLICY_FILE).read_bytes()))
    except (GraphError, IndexError):
        return None
