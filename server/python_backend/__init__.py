"""Models in Python: `backend: "python"`, a `model.py` as Triton's python backend runs it.

https://github.com/triton-inference-server/python_backend describes them. Here they run in threads of the server, with
the part of `triton_python_backend_utils` that a step before or after a network uses.
"""
