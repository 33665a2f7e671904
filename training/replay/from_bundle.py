"""The recurrent network of a bundle, out of its graph: a champion can be taught on wherever it came from.

The graph holds every weight of `training.replay.network.ReplayNet` as it was. Most keep their names; those of
linear layers are stored transposed under a name of the exporter's, and are found by the bias that is added
next.
"""

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from models.bundle import Bundle
from models.manifest import POLICY_FILE
from training.artifacts.checkpoint import CheckpointError
from training.artifacts.export import PARITY_W, sequence_error_w
from training.replay.network import MEMORY, ReplayNet


def net_of(bundle: Bundle) -> ReplayNet:
    """The network that a bundle was exported from.

    Raises:
        CheckpointError: it is no recurrent replay policy, or the network answers otherwise than the graph.
    """
    name = f"{bundle.manifest.name} {bundle.manifest.bundle_version}"
    net = ReplayNet()
    try:
        net.load_state_dict(_weights((bundle.directory / POLICY_FILE).read_bytes()))
    except RuntimeError as error:
        raise CheckpointError(
            f"{name}: its graph is not that of a policy trained by replay, and only those can be taught on; "
            "give such a bundle (`builtin` is one), or train anew with `sunkeep train`"
        ) from error
    states = np.asarray([vector.state for vector in bundle.golden.vectors], np.float32)
    apart_w = sequence_error_w(net.eval(), bundle, states, (1, 3, MEMORY))
    if not apart_w <= PARITY_W:
        raise CheckpointError(
            f"{name}: the network of this version answers its golden observations {apart_w:.3f} W apart from "
            f"the graph ({PARITY_W:g} W are allowed); use the version of Sunkeep that made it"
        )
    return net


def _weights(content: bytes) -> dict[str, Tensor]:
    graph = onnx.load_from_string(content).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    wanted = ReplayNet().state_dict()
    found = {name: stored[name] for name in wanted if name in stored}
    product_of = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        for product, bias in (node.input, reversed(node.input)):
            weight = bias.removesuffix(".bias") + ".weight"
            if product in product_of and weight in wanted:
                found[weight] = stored[product_of[product]].T
    return {name: torch.from_numpy(values.copy()) for name, values in found.items()}
