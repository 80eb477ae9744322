"""The Python server: a model repository in Triton's layout, served over gRPC with dynamic batching."""
