"""A real Triton Inference Server, from its wheel, without Docker or a GPU."""
