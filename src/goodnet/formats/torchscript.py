"""TorchScript archives, whose source is checked before torch compiles it.

TorchScript is an interpreted language of tensor operations that reaches no processes, but it does have operations that
write and map files, and loading a file can already run some of its code (`__setstate__`).
"""

from __future__ import annotations

import ast
import warnings
import zipfile
from pathlib import Path

import torch

from goodnet.errors import UnsafeModelError
from goodnet.formats.archive import member_names, require_plain_archive
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions

FILE_OPERATIONS = frozenset(["from_file", "save", "load", "load_tensor"])
OPERATIONS = frozenset(["aten", "prim", "prims", "quantized", "_quantized", "mkldnn", "onednn", "torchvision"])


def is_script(path: Path, head: bytes) -> bool:
    """Whether a file is a TorchScript archive."""
    return "constants.pkl" in member_names(path)


def read_script(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read a TorchScript archive; its pickles go through a reader of torch's own that builds only TorchScript types.

    Raises:
        UnsafeModelError: its code names an operation on files or a library of operations beyond torch's own.
    """
    with zipfile.ZipFile(path) as archive:
        require_plain_archive(archive)
        for info in archive.infolist():
            if info.filename.casefold().endswith(".py"):
                audit_source(archive.read(info).decode(), info.filename)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.load(str(path), map_location="cpu")
    return LoadedNetwork(network, options.input_shape, None, "torchscript")


def audit_source(source: str, name: str) -> None:
    """Refuse TorchScript source that could touch files.

    Raises:
        UnsafeModelError: naming the operation.
    """
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, RecursionError) as error:
        raise UnsafeModelError(f"{name} in the TorchScript archive cannot be checked: {error}") from error
    libraries = {id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr in OPERATIONS}
    for node in nodes:
        word = None
        if isinstance(node, ast.Attribute):
            word = node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            word = node.value  # getattr(torch, "save")
        elif isinstance(node, ast.Name):
            word = node.id
        foreign = isinstance(node, ast.Name) and node.id == "ops" and id(node) not in libraries
        if word in FILE_OPERATIONS or foreign:
            raise UnsafeModelError(
                f"{name} in the TorchScript archive uses {ast.unparse(node)[:80]!r}, which can reach files; "
                "export the model to ONNX where its code is trusted"
            )


SCRIPT_FORMAT = Format("TorchScript", is_script, read_script)
