"""What the scripts that made the sample models share: data, training, export to ONNX."""
