"""MLflow, the one registry: `store` and `tracking` write it (runner only), `index` is what the kernel reads."""
