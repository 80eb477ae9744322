"""Offline work on the network: training, evaluation, and export to what a server loads."""
