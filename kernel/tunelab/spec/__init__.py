"""What one may ask for. Nothing here imports more than pydantic and yaml."""

from tunelab.spec.customize import (
    NAME_PATTERN,
    REINFORCEMENT,
    TECHNIQUES,
    Adapter,
    Compute,
    CustomizeSpec,
    Tracking,
)
from tunelab.spec.evaluate import EvaluateSpec

__all__ = [
    "NAME_PATTERN",
    "REINFORCEMENT",
    "TECHNIQUES",
    "Adapter",
    "Compute",
    "CustomizeSpec",
    "EvaluateSpec",
    "Tracking",
]
