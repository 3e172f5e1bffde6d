"""Jetson boards: ONNX for TensorRT, checked here with NVIDIA's own parser and builder."""
