"""Encoders make one stream from a video. Found by name: `motion`, `onnx:FILE`, `tflite:FILE`, `lsa:FILE`."""
