"""A torch module whose numbers OpenVINO computes on a CPU: about three times as fast as torch for networks of clips."""

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from wsvad.encoders.runtime import imported
from wsvad.errors import WsvadError


class OpenVinoModule(nn.Module):
    """Computes in float32, and differs from torch by rounding. On another device than the CPU torch computes."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...]):
        """
        Args:
            module: it takes one tensor and gives one.
            shape: of the input without its first axis, which may have any length.

        Raises:
            WsvadError: OpenVINO is not installed.
        """
        super().__init__()
        self.module = module.eval()
        self._compiled = _compiled(self.module, shape)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return self.module(x)
        return torch.from_numpy(np.array(self._compiled([x.contiguous().numpy()])[0]))


def _compiled(module: nn.Module, shape: tuple[int, ...]):  # type: ignore[no-untyped-def]
    try:
        openvino = imported("openvino")
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    except ImportError:
        raise WsvadError("'runtime: openvino' needs it; pip install 'wsvad[openvino]'") from None
    example = torch.zeros(1, *shape)
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings(action="ignore"):
        traced = torch.jit.trace(module, example, check_trace=False)
        # Not `openvino.convert_model`, which does the same and sends who did it to its makers.
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced, example_input=(example,))  # has to live until it is converted
        model = frontend.convert(frontend.load(decoder))
    model.reshape(openvino.PartialShape([-1, *shape]))
    # Where the processor has it, bfloat16 would be taken unasked; and one thread, as torch has for each snippet.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    return openvino.Core().compile_model(model, "CPU", settings)
