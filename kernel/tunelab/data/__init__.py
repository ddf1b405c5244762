"""Datasets: formats, checks on every row, versions, splits, and what a model will see of them."""

from tunelab.data.dataset import Dataset, Datasets, Part, datasets
from tunelab.data.resolve import resolve

__all__ = ["Dataset", "Datasets", "Part", "datasets", "resolve"]
