"""What runs beside the product: a real Triton on the same repository, containers, dashboards."""
