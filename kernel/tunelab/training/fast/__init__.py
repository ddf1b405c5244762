"""The fast forward pass under TRL's trainers: no padding, no logits that nobody reads, the prompt of a pair once."""

from tunelab.training.fast.forward import Refused, Work, accelerate

__all__ = ["Refused", "Work", "accelerate"]
