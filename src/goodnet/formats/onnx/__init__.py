from pathlib import Path

import onnx
import onnx2torch

from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions


def read_onnx(path: Path, options: ReadOptions) -> LoadedNetwork:
    m = onnx.load(str(path))
    d = m.graph.input[0].type.tensor_type.shape.dim
    s = tuple(x.dim_value or None for x in d)[1:]
    return LoadedNetwork(onnx2torch.convert(m), s, None, "onnx")
ONNX_FORMAT = Format("ONNX", lambda p, h: h[:1] == b"\x08", read_onnx)
