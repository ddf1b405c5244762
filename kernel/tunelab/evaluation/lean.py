"""A low-rank adapter's layer in three products, in place of PEFT's forward pass: a token's time is mostly overhead.

y = x Wᵀ + b + s (x Aᵀ) Bᵀ (LoRA, Hu et al. 2021, equation 3), the sum written into the product with the base's weight.
The base's weights stay as they are. When PEFT unloads the adapter its layers go, and this with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.nn import functional as F


def lean(model: nn.Module) -> int:
    """Let adapters compute so wherever they are plain LoRA on a plain layer, and return how many do.

    PEFT's own forward pass serves the others: merged, disabled, mixed or of another kind.
    """
    layers: list[Any] = [module for module in model.modules() if type(module) is Linear and _is_plain(module)]
    for layer in layers:
        layer.forward = _forward(layer)
    return len(layers)


def _is_plain(layer: Any) -> bool:
    base, names = layer.get_base_layer(), layer.active_adapters
    if type(base) is not nn.Linear or layer.disable_adapters or layer.merged or len(names) != 1:
        return False
    (name,) = names
    if name not in layer.lora_A or name in layer.lora_variant or layer.lora_B[name].bias is not None:
        return False
    return bool(layer.lora_A[name].weight.dtype == layer.lora_B[name].weight.dtype == base.weight.dtype)


def _forward(layer: Any) -> Callable[[Tensor], Tensor]:
    base, (name,) = layer.get_base_layer(), layer.active_adapters
    down, up, scale = layer.lora_A[name].weight, layer.lora_B[name].weight.T, layer.scaling[name]

    def forward(x: Tensor) -> Tensor:
        y = F.linear(x, base.weight, base.bias)
        low = F.linear(x, down)
        y.view(-1, y.shape[-1]).addmm_(low.view(-1, low.shape[-1]), up, alpha=scale)
        return y

    return forward
