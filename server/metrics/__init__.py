"""The page at /metrics: Triton's families under Triton's names, and ours for what Triton does not tell."""
