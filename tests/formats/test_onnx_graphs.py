"""ONNX graphs as other producers write them, against onnxruntime."""

from pathlib import Path

import numpy as np
import pytest
import torch

import goodnet
from goodnet.errors import ModelError, UnsafeModelError
from goodnet.formats.onnx.build import build_graph

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
node = onnx.helper.make_node
HEAD = [node("GlobalAveragePool", ["a"], ["g"]), node("Flatten", ["g"], ["v"]), node("MatMul", ["v", "w"], ["y"])]


def weights(name: str, *shape: int) -> object:
    values = np.random.default_rng(len(name) + sum(shape)).normal(size=shape) * 0.3
    return onnx.numpy_helper.from_array(values.astype(np.float32), name)


def constant(name: str, values: object, kind: str = "i8") -> object:
    return onnx.numpy_helper.from_array(np.array(values, dtype=kind), name)


def save(path: Path, nodes: list, constants: list, *, opset: int = 18, shape: tuple = ("b", 3, 8, 8)) -> None:
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [onnx.helper.make_tensor_value_info("x", 1, shape)],
        [onnx.helper.make_tensor_value_info("y", 1, None)],
        constants,
    )
    path.write_bytes(
        onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8
        ).SerializeToString()
    )


CLIP_L, CLIP_H = constant("l", 0.2, "f4"), constant("h", 0.7, "f4")


def resize(mode: str, place: str, scale: float, rounding: str = "round_prefer_floor") -> tuple:
    attributes = {"mode": mode, "coordinate_transformation_mode": place, "nearest_mode": rounding}
    nodes = [node("Resize", ["x", "", "s"], ["r"], **attributes), node("Conv", ["r", "k"], ["a"]), *HEAD]
    return nodes, [constant("s", [1, 1, scale, scale], "f4"), weights("k", 3, 3, 3, 3), weights("w", 3, 5)]


def gelu(order: str, half: float = 0.5) -> tuple:
    factors = {
        "x (h (1 + erf))": [node("Mul", ["h", "p"], ["m"]), node("Mul", ["x", "m"], ["a"])],
        "(x (1 + erf)) h": [node("Mul", ["x", "p"], ["m"]), node("Mul", ["m", "h"], ["a"])],
        "(x h) (1 + erf)": [node("Mul", ["x", "h"], ["m"]), node("Mul", ["m", "p"], ["a"])],
    }[order]
    nodes = [
        node("Constant", [], ["r"], value=constant("r", 2**0.5, "f4")),
        node("Div", ["x", "r"], ["d"]),
        node("Erf", ["d"], ["e"]),
        node("Add", ["e", "one"], ["p"]),
        *factors,
    ]
    return [*nodes, *HEAD], [constant("one", 1, "f4"), constant("h", half, "f4"), weights("w", 3, 5)]


def gated(kind: str) -> tuple:
    maker = {"Relu": node("Relu", ["x"], ["b"]), "Conv": node("Conv", ["x", "k", "z"], ["b"], pads=[1, 1, 1, 1])}[kind]
    nodes = [
        maker,
        node("Erf", ["b"], ["c"]),
        node("Div", ["x", "r"], ["d"]),
        node("Erf", ["d"], ["e"]),
        node("Add", ["e", "one"], ["p"]),
        node("Mul", ["p", "b"], ["m"]),
        node("Add", ["m", "c"], ["a"]),
    ]
    constants = [constant("r", 2**0.5, "f4"), constant("one", 1, "f4"), weights("k", 3, 3, 3, 3), weights("z", 3)]
    return [*nodes, *HEAD], [*constants, weights("w", 3, 5)]


def apart(kind: str) -> tuple:
    """Take the channels, or the height and width, out one by one, and put them together in another order."""
    taken = {
        "by Gather": [node("Gather", ["x", f"{k}"], [f"c{k}"], axis=1) for k in range(3)],
        "by Slice": [
            each
            for k in range(3)
            for each in (
                node("Slice", ["x", f"{k}.", f"{k + 1}.", "1."], [f"s{k}"]),
                node("Squeeze", [f"s{k}", "1."], [f"c{k}"]),
            )
        ],
    }
    if kind == "of sizes":
        sizes = [node("Shape", ["x"], ["d"], start=2), *(node("Gather", ["d", f"{k}"], [f"n{k}"]) for k in range(2))]
        sizes += [node("Mul", ["n0", "n1"], ["n"]), node("Unsqueeze", ["n", "0."], ["l"])]
        nodes = [*sizes, node("Concat", ["z", "l"], ["t"], axis=0), node("Reshape", ["x", "t"], ["f"])]
        nodes += [node("ReduceMean", ["f", "m"], ["v"], keepdims=0), node("MatMul", ["v", "w"], ["y"])]
    else:
        ordered = [node("Unsqueeze", [f"c{k}", "1."], [f"u{k}"]) for k in (2, 0, 1)]
        nodes = [*taken[kind], *ordered, node("Concat", ["u2", "u0", "u1"], ["a"], axis=1), *HEAD]
    constants = [constant(f"{k}", k) for k in range(3)] + [constant(f"{k}.", [k]) for k in range(4)]
    return nodes, [*constants, constant("z", [-1, 3]), constant("m", [-1]), weights("w", 3, 5)]


GELUS = ("x (h (1 + erf))", "(x (1 + erf)) h", "(x h) (1 + erf)")
GRAPHS = {
    **{f"gelu {order}": gelu(order) for order in GELUS},
    **{f"erf of another layer, {kind}": gated(kind) for kind in ("Relu", "Conv")},
    **{f"apart {kind}": apart(kind) for kind in ("by Gather", "by Slice", "of sizes")},
    **{f"not quite gelu {order}": gelu(order, half=0.7) for order in GELUS},
    **{
        f"resize {mode} {place} {scale}": resize(mode, place, scale)
        for mode in ("nearest", "linear")
        for place in ("asymmetric", "half_pixel", "align_corners", "half_pixel_symmetric")
        for scale in (2.0, 1.5, 0.5)
    },
    "resize, ceil": resize("nearest", "half_pixel", 1.5, "ceil"),
    "gather by indices": (
        [node("GatherND", ["x", "i"], ["n"], batch_dims=1), node("MatMul", ["n", "w"], ["y"])],
        [constant("i", [[[0, 1, 2], [2, 3, 4]]] * 3), weights("w", 2, 5)],
    ),
    "gather elements": (
        [node("GatherElements", ["x", "i"], ["a"], axis=1), *HEAD],
        [constant("i", np.full((3, 3, 8, 8), -1)), weights("w", 3, 5)],
    ),
    "scatter by indices": (
        [node("ScatterND", ["z", "i", "u"], ["m"]), node("Mul", ["x", "m"], ["a"]), *HEAD],
        [constant("z", np.zeros((8, 8)), "f4"), constant("i", [[1], [2]]), weights("u", 2, 8), weights("w", 3, 5)],
    ),
    "product": (
        [node("ReduceProd", ["x", "d"], ["v"], keepdims=0), node("MatMul", ["v", "w"], ["y"])],
        [constant("d", [-2, 1]), weights("w", 8, 5)],
    ),
    "sums up to each place": (
        [node("CumSum", ["x", "d"], ["a"], exclusive=1, reverse=1), *HEAD],
        [constant("d", 2), weights("w", 3, 5)],
    ),
    "padding computed with floating-point numbers": (
        [
            node("Shape", ["x"], ["s"], start=2),
            node("Cast", ["s"], ["f"], to=1),
            node("Div", ["f", "three"], ["t"]),
            node("Ceil", ["t"], ["c"]),
            node("Cast", ["c"], ["i"], to=7),
            node("Concat", ["zeros", "i", "zeros", "i"], ["p"], axis=0),
            node("Pad", ["x", "p"], ["r"]),
            node("Conv", ["r", "k"], ["a"]),
            *HEAD,
        ],
        [constant("three", 3.0, "f4"), constant("zeros", [0, 0]), weights("k", 3, 3, 3, 3), weights("w", 3, 5)],
    ),
    "clip": ([node("Clip", ["x", "l", "h"], ["a"]), *HEAD], [CLIP_L, CLIP_H, weights("w", 3, 5)]),
    "clip from below": ([node("Clip", ["x", "l"], ["a"]), *HEAD], [CLIP_L, weights("w", 3, 5)]),
    "clip from above": ([node("Clip", ["x", "", "h"], ["a"]), *HEAD], [CLIP_H, weights("w", 3, 5)]),
    "clip of a shape": (
        [
            node("Shape", ["x"], ["s"], start=2),
            node("Clip", ["s", "one", "four"], ["i"]),
            node("Concat", ["zeros", "i", "zeros", "i"], ["p"], axis=0),
            node("Pad", ["x", "p"], ["r"]),
            node("Conv", ["r", "k"], ["a"]),
            *HEAD,
        ],
        [
            constant("one", 1),
            constant("four", 4),
            constant("zeros", [0, 0]),
            weights("k", 3, 3, 3, 3),
            weights("w", 3, 5),
        ],
    ),
    "power pooling": (
        [node("LpPool", ["x"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]), *HEAD],
        [weights("w", 3, 5)],
    ),
    "shrink": ([node("Shrink", ["x"], ["a"], lambd=0.4, bias=0.1), *HEAD], [weights("w", 3, 5)]),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_answer_as_in_onnxruntime(name: str, tmp_path: Path) -> None:
    nodes, constants = GRAPHS[name]
    fixed = name.startswith("gather")
    save(tmp_path / "m.onnx", nodes, constants, shape=(3 if fixed else "b", 3, 8, 8))
    x = np.random.default_rng(0).random((3, 3, 8, 8), dtype=np.float32)
    wanted = runtime.InferenceSession(tmp_path / "m.onnx").run(None, {"x": x})[0]
    if fixed:
        got = build_graph(onnx.load(tmp_path / "m.onnx"), "x")(torch.from_numpy(x))
    else:
        got = goodnet.load_model(tmp_path / "m.onnx").logits(torch.from_numpy(x))
    torch.testing.assert_close(got.detach(), torch.from_numpy(wanted), atol=1e-5, rtol=1e-4)


def operators(name: str, path: Path) -> list[str]:
    """Return the operators of a graph that are no torch layers."""
    save(path, *GRAPHS[name])
    layers = build_graph(onnx.load(path), "x").layers
    return [each.function.kind for each in layers if hasattr(each, "function")]


@pytest.mark.parametrize("name", [name for name in GRAPHS if name.startswith("apart")])
def test_what_is_taken_apart_place_by_place_is_one_layer(name: str, tmp_path: Path) -> None:
    kinds = operators(name, tmp_path / "m.onnx")
    assert kinds.count("Unbind") == 1 and not {"Gather", "Slice", "Squeeze"} & set(kinds)


@pytest.mark.parametrize("name", [name for name in GRAPHS if "gelu" in name])
def test_gelu_spelled_out_is_one_layer(name: str, tmp_path: Path) -> None:
    kinds = operators(name, tmp_path / "m.onnx")
    assert ("Gelu" in kinds) == (not name.startswith("not")) == ("Erf" not in kinds)


def test_of_several_outputs_the_logits_are_taken(tmp_path: Path) -> None:
    nodes = [*HEAD[:-1], node("MatMul", ["v", "w"], ["logits"]), node("ArgMax", ["logits"], ["y"], axis=1)]
    save(tmp_path / "m.onnx", [node("Relu", ["x"], ["a"]), *nodes], [weights("w", 3, 5)])
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.output[0].type.tensor_type.elem_type = 7
    with pytest.raises(ModelError, match="not an image classifier"):
        onnx.save(model, tmp_path / "m.onnx")
        goodnet.load_model(tmp_path / "m.onnx")
    model.graph.output.append(onnx.helper.make_tensor_value_info("logits", 1, ["b", 5]))
    onnx.save(model, tmp_path / "m.onnx")
    assert goodnet.load_model(tmp_path / "m.onnx").classes == 5


def test_a_quantised_model_is_refused_by_what_it_is(tmp_path: Path) -> None:
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["a"]), *HEAD]
    save(tmp_path / "m.onnx", nodes, [constant("s", 0.01, "f4"), constant("z", 0, "u1"), weights("w", 3, 5)])
    with pytest.raises(ModelError, match=r"quantised .* scan the floating-point model"):
        goodnet.load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/passwd", "in/../../secret.bin", "..\\secret.bin", "link.bin"])
@pytest.mark.parametrize("where", ["initializer", "Constant"])
def test_weights_outside_of_the_folder_are_not_followed(place: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret.bin").write_bytes(np.ones(15, dtype=np.float32).tobytes())
    (tmp_path / "model/link.bin").symlink_to(tmp_path / "secret.bin")
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[3, 5], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    nodes = [node("Relu", ["x"], ["a"]), *HEAD]
    if where == "Constant":
        nodes = [node("Constant", [], ["w"], value=tensor), *nodes]
    save(tmp_path / "model/m.onnx", nodes, [tensor] if where == "initializer" else [])
    with pytest.raises(UnsafeModelError, match="outside its own folder; not followed"):
        goodnet.load_model(tmp_path / "model/m.onnx")
