"""One ONNX Runtime session with reused buffers. The only place that imports the runtime.

Settings (measured on two x86-64 cores): one thread and no spinning costs 0.28 ms of processor time per tick,
the defaults cost 29 ms; `/dev/null` as the folder of external data makes the runtime itself refuse a graph
that reads its weights from another file.
"""

from collections import deque
from collections.abc import Sequence
from math import inf

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.manifest import Golden, Manifest, Tensor

Recurrent = tuple[tuple[float, ...], ...]
"""One flat tuple per memory tensor. Values are float32, hence exact as floats and as JSON."""

WARM_UP_RUNS = 5
"""The first runs of a session allocate; three to five reach the steady state."""
TAKERS = 2
"""Who runs a session in turn, each with a memory of its own: the policy that acts, and its twin."""
INPUT_MAX = 1e30
"""Bound of an input value, well inside float32; a wider one (or NaN) is not answered."""

_Floats = npt.NDArray[np.float32]


class GraphError(Exception):
    """The graph cannot be opened or run, in one line."""


class Session:
    """A loaded graph. Not for concurrent use: its buffers are reused."""

    def __init__(self, content: bytes, manifest: Manifest) -> None:
        """Open the graph and check it against the manifest.

        Raises:
            GraphError: the bytes are no graph, or its inputs and outputs are not those of the manifest.
        """
        self._memory = manifest.memory
        self._session = open_graph(content)
        inputs = [manifest.input, *(Tensor(name=m.name_in, shape=m.shape) for m in self._memory)]
        outputs = [manifest.output, *(Tensor(name=m.name_out, shape=m.shape) for m in self._memory)]
        _check("inputs", self._session.get_inputs(), inputs)
        _check("outputs", self._session.get_outputs(), outputs)
        self._feed: dict[str, _Floats] = {t.name: np.zeros(t.shape, np.float32) for t in inputs}
        self._state = self._feed[manifest.input.name][0]
        self._outputs = [t.name for t in outputs]
        self._carried: deque[tuple[Recurrent, list[_Floats]]] = deque(maxlen=TAKERS)
        self.cold: Recurrent = tuple((0.0,) * int(np.prod(m.shape)) for m in self._memory)
        for _ in range(WARM_UP_RUNS):
            self.run((0.0,) * len(self._state), self.cold)

    def run(self, state: Sequence[float], memory: Recurrent) -> tuple[tuple[float, ...], Recurrent] | None:
        """One inference.

        Args:
            state: the features, raw units.
            memory: recurrent state, `cold` at start.

        Returns:
            The action in W per phase and the next memory; None when anything going in or coming out is
            not finite.

        Raises:
            GraphError: the runtime failed, or the lengths do not fit.
        """
        if not _within(state):
            return None
        self._require_lengths(state, memory)  # numpy would broadcast a single value
        try:
            self._state[:] = state
            if not self._take_memory(memory):
                return None
            action, *carried = self._session.run(self._outputs, self._feed)
        except Exception as error:  # the runtime's own errors share no narrower base
            raise GraphError(_one_line(error)) from error
        answer = tuple(action.ravel().tolist())
        following = tuple(tuple(values.ravel().tolist()) for values in carried)
        if not _within(answer) or not all(map(_within, following)):
            return None
        self._carried.append((following, carried))
        return answer, following

    def _take_memory(self, memory: Recurrent) -> bool:
        """Put the recurrent state into the feed; whether it is finite.

        What the last runs have handed out is still here as arrays: copying 200 floats out of a tuple costs a
        third of an inference.
        """
        for handed_out, arrays in self._carried:
            if memory is handed_out:
                self._feed.update(zip((tensor.name_in for tensor in self._memory), arrays, strict=True))
                return True
        for tensor, values in zip(self._memory, memory, strict=True):
            if not _within(values):
                return False
            self._feed[tensor.name_in] = np.array(values, np.float32).reshape(tensor.shape)
        return True

    def _require_lengths(self, state: Sequence[float], memory: Recurrent) -> None:
        found = (len(state), *map(len, memory))
        expected = (len(self._state), *map(len, self.cold))
        if found != expected:
            raise GraphError(f"lengths of state and memory are {found}, not {expected}")

    def golden_error_w(self, golden: Golden) -> float:
        """Largest deviation over the golden vectors in W; infinite when one is not answered.

        Raises:
            GraphError: the runtime failed.
        """
        memory, worst_w = self.cold, 0.0
        for vector in golden.vectors:
            answer = self.run(vector.state, memory)
            if answer is None:
                return inf
            action_w, memory = answer
            errors_w = (abs(x - y) for x, y in zip(action_w, vector.action_w, strict=True))
            worst_w = max(worst_w, *errors_w)
        return worst_w


def open_graph(content: bytes) -> ort.InferenceSession:
    """A session on one thread that reads nothing but these bytes. Raises GraphError."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", "/dev/null")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own errors share no narrower base
        raise GraphError(_one_line(error)) from error


def _check(what: str, found: Sequence[ort.NodeArg], expected: Sequence[Tensor]) -> None:
    """Same names, shapes and order, all float32."""
    actual = [(arg.name, tuple(arg.shape), arg.type) for arg in found]
    wanted = [(tensor.name, tensor.shape, "tensor(float)") for tensor in expected]
    if actual != wanted:
        raise GraphError(f"its {what} are {actual}, the manifest says {wanted}")


def _within(values: Sequence[float]) -> bool:
    """Whether every value is a number within the bound; their sum says so at once where they are small."""
    return sum(map(abs, values)) <= INPUT_MAX or all(-INPUT_MAX <= value <= INPUT_MAX for value in values)


def _one_line(error: Exception) -> str:
    """The runtime's message without its line breaks and source positions, shortened."""
    text = " ".join(str(error).split())
    return (text[:200] or type(error).__name__).rstrip(".")
