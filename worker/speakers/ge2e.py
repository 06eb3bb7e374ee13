"""The GE2E speaker encoder of Resemblyzer as an ONNX file: three LSTM layers over 1.6 s of mel frames.

Wan et al., "Generalized end-to-end loss for speaker verification", 2018. Measured on one core: 8 ms for one window, 4.5
ms for each of several. The same in NumPy takes 2.7 times as long, and holds the interpreter's lock.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.speakers.checkpoint import read_tensors
from worker.speakers.mel import N_MELS
from worker.speakers.onnx_file import Node, Value, onnx_file

HIDDEN: Final = 256
LAYERS: Final = 3

Floats = NDArray[np.float32]


def ge2e_onnx(content: bytes) -> bytes:
    """The network of the package's file, `[frames, windows, N_MELS]` → `[windows, HIDDEN]`, not normalised.

    Raises ValueError and `pickle.UnpicklingError` for any other file.
    """
    tensors = read_tensors(content, "model_state")
    weights: dict[str, NDArray[np.generic]] = {"directions": np.array([1]), "layers": np.array([0])}
    nodes, values = [], "mel"
    for number in range(LAYERS):
        of_layer = _layer(tensors, number)
        weights |= {f"{name}{number}": one for name, one in of_layer.items()}
        names = [f"{name}{number}" for name in ("all", "last")]
        nodes.append(Node("LSTM", [values, *(f"{name}{number}" for name in of_layer)], names, {"hidden_size": HIDDEN}))
        values = f"values{number}"
        nodes.append(Node("Squeeze", [names[0], "directions"], [values], {}))
    weights |= {"projection": tensors["linear.weight"], "bias": tensors["linear.bias"]}
    nodes += [
        Node("Squeeze", [f"last{LAYERS - 1}", "layers"], ["hidden"], {}),
        Node("Gemm", ["hidden", "projection", "bias"], ["projected"], {"transB": 1}),
        Node("Relu", ["projected"], ["embedding"], {}),
    ]
    inputs, outputs = Value("mel", ["frames", "windows", N_MELS]), Value("embedding", ["windows", HIDDEN])
    return onnx_file(nodes, weights, [inputs], [outputs])


def _layer(tensors: dict[str, Floats], number: int) -> dict[str, Floats]:
    inputs, recurrent = tensors[f"lstm.weight_ih_l{number}"], tensors[f"lstm.weight_hh_l{number}"]
    biases = [tensors[f"lstm.bias_{of}_l{number}"] for of in ("ih", "hh")]
    expected = (4 * HIDDEN, HIDDEN if number else N_MELS), (4 * HIDDEN, HIDDEN), (4 * HIDDEN,)
    if (inputs.shape, recurrent.shape, biases[0].shape) != expected:
        raise ValueError("the weights are of another network")
    return {
        "inputs": _gates(inputs)[None],
        "recurrent": _gates(recurrent)[None],
        "biases": np.concatenate([_gates(bias) for bias in biases])[None],
    }


def _gates(of_torch: Floats) -> Floats:
    """ONNX has the gates in the order i, o, f, g; PyTorch in the order i, f, g, o."""
    i, f, g, o = np.split(of_torch, 4)
    return np.concatenate([i, o, f, g])
