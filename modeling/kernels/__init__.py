"""Kernels for training on a processor: most of a mobile network's time goes into passes over its activations."""

from modeling.kernels.layers import quicken

__all__ = ["quicken"]
