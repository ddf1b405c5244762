"""The fast forward pass gives what TRL's own gives: values, gradients, twenty steps of training."""

from __future__ import annotations

import copy
from typing import Any

import peft
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPTNeoXConfig,
    GptOssConfig,
    LlamaConfig,
    MambaConfig,
    PreTrainedModel,
    Qwen3Config,
)
from trl.trainer.utils import add_fused_lm_head

from tunelab.training.fast import Refused, accelerate, lora
from tunelab.training.fast.logprobs import FIELDS, Head, log_probs
from tunelab.training.fast.row import pack

SHAPE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
WINDOW = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}
FAMILIES: dict[str, Any] = {
    "llama": LlamaConfig(**SHAPE),
    "llama, untied": LlamaConfig(**SHAPE, tie_word_embeddings=False),
    "llama, tied": LlamaConfig(**SHAPE, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**SHAPE),
    "gemma2": Gemma2Config(**SHAPE, sliding_window=6),
    "gemma3": Gemma3TextConfig(**SHAPE, **WINDOW),
    "gpt-neox": GPTNeoXConfig(**{k: SHAPE[k] for k in SHAPE if k not in ("num_key_value_heads", "head_dim")}),
}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Tiny matrices gain nothing from more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(config: Any, seed: int = 0) -> PreTrainedModel:
    """Return a model with weights large enough that its attention and its caps matter."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=torch.float32)
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.data.normal_(0, 0.25)
    return model.train()


def both(
    config: Any, pairs: bool, share_from: int = 3, groups: bool = False
) -> tuple[PreTrainedModel, PreTrainedModel]:
    """Return the same model twice, as TRL's trainers prepare it, the second with the fast path."""
    theirs, ours = made(config), made(config)
    for model in (theirs, ours):
        add_fused_lm_head(model, outputs=("log_probs", *FIELDS))
    accelerate(ours, FIELDS, pairs=pairs, share_from=share_from, groups=groups)
    return theirs, ours


def batch(lengths: list[int], prompts: list[int], pairs: bool = False) -> dict[str, torch.Tensor]:
    """Return a padded batch; of a pair both answers begin with the same prompt."""
    draw = torch.Generator().manual_seed(sum(lengths))
    ids = torch.randint(1, 96, (len(lengths), max(lengths)), generator=draw)
    if pairs:
        half = len(lengths) // 2
        for index in range(half):
            ids[index + half, : prompts[index]] = ids[index, : prompts[index]]
    place = torch.arange(max(lengths))
    mask = place < torch.tensor(lengths)[:, None]
    labels = ids.masked_fill(~mask | (place < torch.tensor(prompts)[:, None]), -100)
    return {"input_ids": ids.masked_fill(~mask, 0), "attention_mask": mask.long(), "labels": labels}


def agree(theirs: PreTrainedModel, ours: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> None:
    """See that all that TRL reads, and the gradients of all weights, are the same."""
    found = {}
    for name, model in (("theirs", theirs), ("ours", ours)):
        out = model(**inputs, fused_lm_head=True)
        weights = torch.linspace(-1, 1, out.log_probs.numel()).view_as(out.log_probs)
        (out.log_probs * weights).sum().backward()
        found[name] = out
    for field in ("loss", "log_probs", "label_mask", *FIELDS):
        a, b = (getattr(found[name], field).float() for name in ("theirs", "ours"))
        torch.testing.assert_close(b, a, atol=2e-5, rtol=1e-4, msg=lambda text, field=field: f"{field}: {text}")
    for (name, a), b in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        if a.grad is None:
            assert b.grad is None or not b.grad.any(), name
            continue
        assert b.grad is not None, name
        assert (a.grad - b.grad).norm() <= 1e-4 * a.grad.norm() + 1e-5, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pairs", [False, True])
def test_values_and_gradients_are_those_of_trls_path(family: str, pairs: bool) -> None:
    theirs, ours = both(FAMILIES[family], pairs)
    lengths, prompts = [30, 9, 17, 22, 12, 30], [9, 4, 2, 9, 4, 2]
    agree(theirs, ours, batch(lengths, prompts, pairs))


def grouped(asked: list[int], answers: list[int], prompts: list[int]) -> dict[str, torch.Tensor]:
    """Return a batch of answers to prompts, each as long as said; rows are padded at the end."""
    inputs = batch(
        [prompts[one] + own for one, own in zip(asked, answers, strict=True)], [prompts[one] for one in asked]
    )
    for row, one in enumerate(asked):
        first = asked.index(one)
        inputs["input_ids"][row, : prompts[one]] = inputs["input_ids"][first, : prompts[one]]
    return inputs


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_to_one_prompt_share_it_in_any_order(family: str) -> None:
    theirs, ours = both(FAMILIES[family], pairs=False, groups=True)
    agree(theirs, ours, grouped([0, 1, 0, 2, 1, 0], [5, 9, 1, 7, 3, 12], [11, 6, 2]))


@given(
    asked=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=6),
    prompts=st.tuples(*[st.integers(1, 12)] * 3),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_groups_give_the_same(asked: list[tuple[int, int]], prompts: tuple[int, int, int]) -> None:
    theirs, ours = both(FAMILIES["llama"], pairs=False, groups=True)
    agree(theirs, ours, grouped([one for one, _ in asked], [own for _, own in asked], [*prompts]))


def test_a_prompt_is_computed_once_for_its_answers() -> None:
    inputs = grouped([0, 1, 0, 0], [3, 4, 5, 6], [20, 10])
    found = pack(inputs["input_ids"], inputs["labels"], inputs["attention_mask"], groups=True, share_from=8)
    assert found.tokens == 20 + 10 + 3 + 4 + 5 + 6
    assert [(block.length, block.after, block.prefix) for block in found.blocks] == [
        (23, 0, 0), (14, 0, 0), (5, 0, 20), (6, 0, 20),
    ]  # fmt: skip


@given(
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=4),
    pairs=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_lengths_give_the_same(sizes: list[tuple[int, int, int]], pairs: bool) -> None:
    theirs, ours = both(FAMILIES["gemma3"], pairs)
    prompts = [prompt for prompt, _, _ in sizes] * 2
    lengths = [prompt + own for prompt, own, _ in sizes] + [prompt + own for prompt, _, own in sizes]
    agree(theirs, ours, batch(lengths, prompts, pairs))


@pytest.mark.parametrize("trained", ["adapter", "adapter and dropout", "checkpointed"])
def test_an_adapter_learns_what_pefts_own_learns(trained: str) -> None:
    dropout = 0.3 if trained == "adapter and dropout" else 0.0
    models = []
    for fast in (False, True):
        model = made(FAMILIES["qwen3"])
        add_fused_lm_head(model, outputs=("log_probs", *FIELDS))
        torch.manual_seed(1)
        config = peft.LoraConfig(r=4, lora_dropout=dropout, target_modules="all-linear", init_lora_weights=False)
        wrapped = peft.get_peft_model(model, config)
        if trained == "checkpointed":
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            wrapped.enable_input_require_grads()
        accelerate(model, FIELDS, pairs=False)
        # With dropout the row is the same for both, so that the same numbers are drawn.
        if fast:
            assert lora.fuse(model) == 14
        models.append(wrapped)
    inputs = batch([30, 9, 17, 22], [9, 4, 2, 9])
    torch.manual_seed(2)
    first = [models[0](**inputs, fused_lm_head=True).log_probs]
    torch.manual_seed(2)
    first.append(models[1](**inputs, fused_lm_head=True).log_probs)
    torch.testing.assert_close(first[1], first[0], atol=2e-5, rtol=1e-4)
    for out in first:
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    for (name, a), b in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        if a.requires_grad:
            assert (a.grad - b.grad).norm() <= 1e-4 * a.grad.norm() + 1e-5, name
    with torch.no_grad(), models[1].disable_adapter():
        plain = models[1](**inputs, fused_lm_head=True).log_probs
    with torch.no_grad(), models[0].disable_adapter():
        torch.testing.assert_close(plain, models[0](**inputs, fused_lm_head=True).log_probs)


@pytest.mark.parametrize("head_is_trained", [True, False])
@pytest.mark.parametrize(("bias", "scale", "softcap"), [(False, 1.0, None), (True, 0.5, 5.0), (True, 2.0, None)])
def test_log_probabilities_are_torchs(head_is_trained: bool, bias: bool, scale: float, softcap: float | None) -> None:
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(50, 16, generator=draw, requires_grad=True)
    weight = torch.randn(3000, 16, generator=draw, requires_grad=head_is_trained)
    offset = torch.randn(3000, generator=draw, requires_grad=head_is_trained) if bias else None
    labels = torch.randint(0, 3000, (50,), generator=draw)
    upstream = torch.randn(50, generator=draw)
    leaves = [leaf for leaf in (hidden, weight, offset) if leaf is not None and leaf.requires_grad]

    z = (hidden @ weight.T + (0 if offset is None else offset)) * scale
    z = z if softcap is None else softcap * torch.tanh(z / softcap)
    logp = z.log_softmax(-1)
    p = logp.exp()
    expected = {
        "log_probs": logp.gather(-1, labels[:, None])[:, 0],
        "entropy": -(p * logp).sum(-1),
        "log_sum_sq_probs": p.square().sum(-1).log(),
        "mean_logits": z.mean(-1),
        "is_top1": z.argmax(-1) == labels,
    }
    found = log_probs(hidden, Head(weight, offset, scale, softcap), labels, FIELDS)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, atol=1e-4, rtol=1e-4)
    expected_grads = torch.autograd.grad(expected["log_probs"], leaves, upstream)
    for a, b in zip(expected_grads, torch.autograd.grad(found["log_probs"], leaves, upstream), strict=True):
        assert (a - b).norm() <= 1e-5 * a.norm()


def test_a_large_vocabulary_with_large_logits_is_summed_exactly() -> None:
    draw = torch.Generator().manual_seed(0)
    hidden = 3 * torch.randn(40, 64, generator=draw)
    weight, offset = torch.randn(50_000, 64, generator=draw), torch.full((50_000,), 30.0)
    labels = torch.randint(0, 50_000, (40,), generator=draw)
    logp = (hidden.double() @ weight.double().T + offset).log_softmax(-1)
    found = log_probs(hidden, Head(weight, offset), labels, FIELDS)
    exact = {
        "log_probs": logp.gather(-1, labels[:, None])[:, 0],
        "entropy": -(logp.exp() * logp).sum(-1),
        "log_sum_sq_probs": (2 * logp).logsumexp(-1),
    }
    for name, values in exact.items():
        torch.testing.assert_close(found[name].double(), values, atol=5e-5, rtol=2e-6)


def test_a_row_has_no_padding_and_a_prompt_once() -> None:
    inputs = batch([20, 9, 14, 30], [10, 4, 10, 4], pairs=True)
    arguments = inputs["input_ids"], inputs["labels"], inputs["attention_mask"]
    apart = pack(*arguments)
    assert apart.tokens == 20 + 9 + 14 + 30
    together = pack(*arguments, pairs=True, share_from=8)
    assert together.tokens == apart.tokens - 10, "the prompt of 10 is computed once, that of 4 is too short"
    assert [(block.length, block.prefix) for block in together.blocks] == [(20, 0), (4, 10), (9, 0), (30, 0)]
    assert together.position_ids[0, 20:24].tolist() == [10, 11, 12, 13]
    assert together.labels.tolist() == apart.labels.tolist()


def test_packed_sequences_do_not_see_each_other() -> None:
    theirs, ours = both(FAMILIES["llama"], pairs=False)
    whole = batch([11, 17, 6], [2, 5, 1])
    ids = torch.cat([row[mask.bool()] for row, mask in zip(whole["input_ids"], whole["attention_mask"], strict=True)])
    labels = torch.cat([row[mask.bool()] for row, mask in zip(whole["labels"], whole["attention_mask"], strict=True)])
    positions = torch.cat([torch.arange(length) for length in (11, 17, 6)])
    labels[positions == 0] = -100
    agree(theirs, ours, {"input_ids": ids[None], "labels": labels[None], "position_ids": positions[None]})
    alone = theirs(**whole, fused_lm_head=True).log_probs
    assert ours(input_ids=ids[None], labels=labels[None], position_ids=positions[None], fused_lm_head=True).log_probs[
        0, 11:27
    ].tolist() == pytest.approx(alone[1, :16].tolist(), abs=2e-5)


def test_a_batch_without_a_trained_token_is_a_zero_with_gradients() -> None:
    _, ours = both(FAMILIES["llama"], pairs=False)
    inputs = batch([5, 7], [5, 7])
    out = ours(**inputs, fused_lm_head=True)
    out.log_probs.sum().backward()
    assert out.log_probs.abs().sum() == 0


def test_the_model_generates_as_before() -> None:
    theirs, ours = both(FAMILIES["gemma2"], pairs=False)
    ours(**batch([9, 5], [2, 2]), fused_lm_head=True)
    prompt = {
        "input_ids": torch.tensor([[0, 5, 6, 7], [4, 8, 9, 3]]),
        "attention_mask": torch.tensor([[0, 1, 1, 1], [1] * 4]),
    }
    generated = [
        model.eval().generate(**prompt, max_new_tokens=8, do_sample=False).tolist() for model in (theirs, ours)
    ]
    assert generated[0] == generated[1]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (MambaConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, state_size=4), "linear_attention"),
        (BloomConfig(vocab_size=96, hidden_size=32, n_layer=2, n_head=4), "a trial of the fast path failed"),
        (LlamaConfig(**SHAPE, attention_chunk_size=8), "chunked_attention"),
    ],
)
def test_a_model_that_is_not_computed_here_is_refused(config: Any, reason: str) -> None:
    model = made(config)
    add_fused_lm_head(model, outputs=("log_probs", *FIELDS))
    before, attention = model.forward, model.config._attn_implementation
    with pytest.raises(Refused, match=reason):
        accelerate(model, FIELDS, pairs=False)
    assert (model.forward, model.config._attn_implementation) == (before, attention)


def test_sinks_of_gpt_oss_are_computed() -> None:
    config = GptOssConfig(
        **SHAPE, num_local_experts=2, num_experts_per_tok=1, sliding_window=6, layer_types=WINDOW["layer_types"]
    )
    config.output_router_logits = False
    theirs, ours = both(config, pairs=True)
    agree(theirs, ours, batch([20, 9, 14, 30], [10, 4, 10, 4], pairs=True))
