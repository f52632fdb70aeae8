"""ONNX models, by way of onnx2torch."""

from goodnet.formats.onnx.reader import ONNX_FORMAT

__all__ = ["ONNX_FORMAT"]
