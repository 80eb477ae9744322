"""What the server offers on the wire: the Open Inference Protocol with Triton's extensions, and our own Classifier."""
