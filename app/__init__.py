"""The workbench: a window on the engine. It never imports torch, onnx or onnxruntime."""
