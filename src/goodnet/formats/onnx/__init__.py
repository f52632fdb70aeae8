"""ONNX models, their operators as torch layers."""

from goodnet.formats.onnx.reader import ONNX_FORMAT

__all__ = ["ONNX_FORMAT"]
