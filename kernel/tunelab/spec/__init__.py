"""What one may ask for. Nothing here imports more than pydantic and yaml."""

from tunelab.spec.customize import NAME_PATTERN, TECHNIQUES, Adapter, Compute, CustomizeSpec, Tracking

__all__ = ["NAME_PATTERN", "TECHNIQUES", "Adapter", "Compute", "CustomizeSpec", "Tracking"]
