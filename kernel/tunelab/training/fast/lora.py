"""A linear layer and its low-rank adapter as one step, in place of PEFT's six: no scaled copies, nothing kept twice.

y = x Wᵀ + b + s (x̃ Aᵀ) Bᵀ with x̃ = dropout(x) (LoRA, Hu et al. 2021, equation 3). The sums are written into the product
with the frozen weight, and the backward pass keeps x̃ and the r numbers x̃ Aᵀ of each token.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.nn import functional as F


def fuse(model: nn.Module) -> int:
    """Let the adapters of a model compute in one step wherever they are plain LoRA on a frozen float layer.

    PEFT's own forward serves every other state: adapters disabled, merged, mixed or of another kind.

    Returns
    -------
    int
        How many layers have such an adapter.
    """
    layers: list[Any] = [module for module in model.modules() if type(module) is Linear and _can_fuse(module)]
    for layer in layers:
        layer.forward = types.MethodType(_forward, layer)
    return len(layers)


def _can_fuse(layer: Linear) -> bool:
    base = layer.get_base_layer()
    return type(base) is nn.Linear and base.weight.dtype.is_floating_point and not base.weight.requires_grad


def _forward(layer: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    plain = not (args or kwargs or layer.disable_adapters or layer.merged or torch.is_autocast_enabled(x.device.type))
    names = layer.active_adapters
    if not plain or not torch.is_grad_enabled() or len(names) != 1 or not _is_plain(layer, names[0], x):
        return Linear.forward(layer, x, *args, **kwargs)
    base, down, up = layer.get_base_layer(), layer.lora_A[names[0]], layer.lora_B[names[0]]
    dropout = layer.lora_dropout[names[0]]
    # Dropout of nothing still copies.
    dropped = dropout(x) if layer.training and getattr(dropout, "p", 0) > 0 else x
    apply: Any = _Adapted.apply
    return apply(x, dropped, base.weight, base.bias, down.weight, up.weight, layer.scaling[names[0]])


def _is_plain(layer: Any, name: str, x: Tensor) -> bool:
    if name not in layer.lora_A or name in layer.lora_variant or layer.lora_B[name].bias is not None:
        return False
    return bool(x.dtype == layer.lora_A[name].weight.dtype == layer.get_base_layer().weight.dtype)


class _Adapted(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dropped: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        y = F.linear(x, weight, bias)
        flat = dropped.reshape(-1, dropped.shape[-1])
        low = flat @ a.T
        y.view(-1, y.shape[-1]).addmm_(low, b.T, alpha=scale)
        ctx.save_for_backward(dropped, weight, a, b, low)
        ctx.scale, ctx.without_dropout = scale, dropped is x
        return y

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        dropped, weight, a, b, low = ctx.saved_tensors
        wanted_x, wanted_dropped = ctx.needs_input_grad[:2]
        flat = upstream.reshape(-1, upstream.shape[-1])
        to_low = (flat @ b).mul_(ctx.scale)
        to_a = to_low.T @ dropped.reshape(-1, dropped.shape[-1])
        to_b = (flat.T @ low).mul_(ctx.scale)
        to_x = to_dropped = None
        if wanted_x:
            to_x = flat @ weight
            if ctx.without_dropout:
                to_x.addmm_(to_low, a)
            to_x = to_x.view_as(dropped)
        if wanted_dropped and not ctx.without_dropout:
            to_dropped = (to_low @ a).view_as(dropped)
        return to_x, to_dropped, None, None, to_a, to_b, None
