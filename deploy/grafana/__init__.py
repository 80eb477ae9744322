"""Grafana's dashboard for this server and Triton: `dashboard.py` writes it from the rows in `rows`."""
