"""Trained networks for other programs: ONNX, PyTorch's exported programs and safetensors, with a model card."""

from altmin.export.export import FORMATS, export

__all__ = ["FORMATS", "export"]
