"""Programs written by torch.export.save, rebuilt from checked parts before torch reads them.

torch.export.load alone runs code from the file in several ways: it unpickles weights, constants and sample inputs,
evaluates size expressions as Python, executes the guards, and calls whatever `torch.x.y.z` a node names. Here the
graph, which is JSON, is checked string by string, what only debuggers need is dropped, and an archive of nothing but
that graph and raw tensors is handed on.
"""

from __future__ import annotations

import ast
import io
import json
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

from torch import nn

from goodnet.errors import ModelError, UnsafeModelError
from goodnet.formats.archive import member_names, require_plain_archive
from goodnet.formats.each_alone import EachAlone
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions

NAME = re.compile(r"([A-Za-z_]\w*)?", re.ASCII)
PLAIN = re.compile(r"[\w.+\-:/ ]{0,300}", re.ASCII)
SYMBOL = re.compile(r"[a-z]{1,4}\d+|\d+(\.\d+)?", re.ASCII)
DICT_KEYS = re.compile(r'\[("\w+"(, )?)*\]', re.ASCII)
TARGET = re.compile(
    r"torch\.ops\.(aten|prims)\.(?!from_file|save|load)\w+\.\w+|torch\.ops\.higher_order\.wrap_with_set_grad_enabled"
    r"|torch\.sym_(int|float|max|min|not|ite|sum)|math\.(trunc|floor|ceil)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_)",
    re.ASCII,
)
FUNCTIONS = frozenset(
    [
        "Symbol",
        "Integer",
        "Float",
        "Rational",
        "Add",
        "Mul",
        "Pow",
        "Max",
        "Min",
        "Mod",
        "PythonMod",
        "FloorDiv",
        "CeilDiv",
        "CleanDiv",
        "IntTrueDiv",
        "FloatTrueDiv",
        "PowByNatural",
        "FloatPow",
        "ToFloat",
        "TruncToInt",
        "TruncToFloat",
        "FloorToInt",
        "CeilToInt",
        "ModularIndexing",
        "Where",
        "Eq",
        "Ne",
        "Lt",
        "Le",
        "Gt",
        "Ge",
        "Equality",
        "Unequality",
        "StrictLessThan",
        "LessThan",
        "StrictGreaterThan",
        "GreaterThan",
        "And",
        "Or",
        "Not",
    ]
)
ARITHMETIC = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
    ast.keyword, ast.Load,
)  # fmt: skip
WHAT_TO_DO = "export the model to ONNX where its code is trusted"


def is_export(path: Path, head: bytes) -> bool:
    """Whether a file is an archive with an exported program."""
    members = member_names(path)
    return any(name.startswith("models/") and name.endswith(".json") for name in members) or (
        "serialized_exported_program.json" in members
    )


def read_export(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read an exported program with one image input.

    Raises:
        UnsafeModelError: the program holds a pickle, or names anything but plain tensor operations.
        ModelError: it takes several inputs, or a fixed number of images above one.
    """
    try:
        from torch.export.pt2_archive._package import load_pt2
    except ImportError as error:
        raise ModelError("reading torch.export programs needs torch 2.8 or later") from error
    archive = checked_archive(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = load_pt2(archive).exported_programs["model"]
    return network_of(program)


def network_of(program: Any) -> LoadedNetwork:
    """Return the network of an exported program; one for a single image takes any number of them, one by one.

    Raises:
        ModelError: it takes several inputs, no images, or a fixed number of images above one.
    """
    kinds = [spec.kind.name for spec in program.graph_signature.input_specs]
    if kinds.count("USER_INPUT") != 1:
        raise ModelError(f"expected an exported program with one input, got {kinds.count('USER_INPUT')}")
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    placeholder = placeholders[kinds.index("USER_INPUT")]  # in the order of the specs
    sizes = list(placeholder.meta["val"].shape)
    if len(sizes) != 4:
        raise ModelError(f"expected a program of images (batch, channels, height, width), got {len(sizes)} dimensions")
    batch = sizes[0]
    if isinstance(batch, int) and batch > 1:
        raise ModelError(
            f"the exported program takes batches of exactly {batch} images; export it with a dynamic batch "
            "dimension: torch.export.export(..., dynamic_shapes=({0: torch.export.Dim('batch')},))"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = _in_its_mode(program.module())
    channels, height, width = (size if isinstance(size, int) else None for size in sizes[1:])
    if batch == 1:
        network = EachAlone(network)
    return LoadedNetwork(network, (channels, height, width), None, "torch.export")


def _in_its_mode(module: nn.Module) -> nn.Module:
    # An exported module refuses eval(): it was exported in the mode in which it answers.
    module.train = lambda mode=True: module  # type: ignore[method-assign]
    module.eval = lambda: module  # type: ignore[method-assign]
    return module


def checked_archive(path: Path) -> io.BytesIO:
    """Return an archive with the checked program and the raw tensors of the one at `path`, and nothing else."""
    parts: dict[str, bytes] = {"archive_format": b"pt2", "archive_version": b"0", "data/sample_inputs/model.pt": b""}
    parts |= {"byteorder": b"little", ".data/version": b"3\n"}
    with zipfile.ZipFile(path) as archive:
        require_plain_archive(archive)
        members = {info.filename.split("/", 1)[-1]: info for info in archive.infolist()}
        if "models/model.json" not in members:
            raise ModelError(
                "expected models/model.json in the exported program; it is compiled, or older than torch 2.8"
            )
        if "byteorder" in members and archive.read(members["byteorder"]) != b"little":
            raise ModelError("expected an exported program with little-endian tensors")
        if "archive_version" in members:
            parts["archive_version"] = archive.read(members["archive_version"])
        program = _checked(json.loads(archive.read(members["models/model.json"])), "")
        if "guards_code" in program:
            program["guards_code"] = []  # Python source; goodnet checks its inputs itself
        parts["models/model.json"] = json.dumps(program).encode()
        for kind, prefix in (("weights", "weight_"), ("constants", "tensor_")):
            name = f"data/{kind}/model_{kind}_config.json"
            if name not in members:
                raise ModelError(f"expected {name} in the exported program; export it again with torch 2.9 or later")
            config = json.loads(archive.read(members[name]))
            for key, payload in config["config"].items():
                place = str(payload["path_name"])
                if payload.get("use_pickle") or not re.fullmatch(rf"{prefix}\d+", place, re.ASCII):
                    raise UnsafeModelError(f"{key!r} in the exported program is a pickle or an object; {WHAT_TO_DO}")
                parts[f"data/{kind}/{place}"] = archive.read(members[f"data/{kind}/{place}"])
            parts[name] = json.dumps(_checked(config, "config")).encode()
    rebuilt = io.BytesIO()
    with zipfile.ZipFile(rebuilt, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(f"model/{name}", content)
    rebuilt.seek(0)
    return rebuilt


def _checked(value: Any, key: str) -> Any:
    """Return JSON with its debugging notes dropped; `key` is where it stands.

    Raises:
        UnsafeModelError: a string in it is more than a name, a number or a tensor operation.
    """
    if isinstance(value, dict):
        foreign = next((name for name in value if not PLAIN.fullmatch(name)), None)
        if foreign is not None:
            raise UnsafeModelError(f"the exported program has the suspicious name {foreign[:80]!r}; {WHAT_TO_DO}")
        return {k: {} if k == "metadata" else [] if k == "guards_code" else _checked(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_checked(each, key) for each in value]
    if isinstance(value, str) and not _is_harmless(value, key):
        raise UnsafeModelError(f"the exported program has the suspicious {key} {value[:80]!r}; {WHAT_TO_DO}")
    return value


def _is_harmless(text: str, key: str) -> bool:
    if key == "target":
        return TARGET.fullmatch(text) is not None
    if key == "expr_str":
        return len(text) <= 1000 and _is_arithmetic(text)
    if key in ("in_spec", "out_spec"):
        return _is_plain_tree(json.loads(text)[1])
    if key in ("name", "forward_arg_names"):
        return NAME.fullmatch(text) is not None
    if key == "as_string":  # torch quotes it; no operation that is let through takes a file name or code
        return text.isprintable()
    return PLAIN.fullmatch(text) is not None


def _is_arithmetic(expression: str) -> bool:
    """Whether an expression only computes with numbers and symbols of sizes, such as s0."""
    try:
        nodes = list(ast.walk(ast.parse(expression, mode="eval")))
    except (SyntaxError, RecursionError):
        return False
    for node in nodes:
        if isinstance(node, ast.Call):
            harmless = isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
        elif isinstance(node, ast.Name):
            harmless = node.id in FUNCTIONS or SYMBOL.fullmatch(node.id) is not None
        elif isinstance(node, ast.Constant):
            harmless = isinstance(node.value, (bool, int, float)) or (
                isinstance(node.value, str) and SYMBOL.fullmatch(node.value) is not None
            )
        else:
            harmless = isinstance(node, ARITHMETIC)
        if not harmless:
            return False
    return True


def _is_plain_tree(spec: Any) -> bool:
    context = spec["context"]
    return (
        spec["type"] in (None, "builtins.tuple", "builtins.list", "builtins.dict")
        and (context is None or context == "null" or DICT_KEYS.fullmatch(context) is not None)
        and all(_is_plain_tree(child) for child in spec["children_spec"])
    )


EXPORT_FORMAT = Format("a torch.export program", is_export, read_export)
