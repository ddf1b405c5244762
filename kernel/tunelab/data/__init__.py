"""Datasets: formats, checks on every row, versions, splits."""

from tunelab.data.dataset import Dataset, datasets, resolve

__all__ = ["Dataset", "datasets", "resolve"]
