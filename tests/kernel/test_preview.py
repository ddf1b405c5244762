"""What a model will see: the masks of the first batch, refusals, lengths, tool calls, tokens as text."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tunelab import task
from tunelab.data import Dataset
from tunelab.data.preview import Preview
from tunelab.errors import DataError, ModelError, SpecError
from tunelab.jobs.prepare import prepare
from tunelab.spec import CustomizeSpec
from tunelab.training import masks, plan, rows, show
from tunelab.training import preview as previews
from tunelab.training import trainer as trainers

TEMPLATES = Path(__file__).parent / "templates"
#: Of each family: the tokens that its tokenizer has and that of the tests has not, the first of a text, the last, and
#: the one that ends a turn.
FAMILIES = {
    "smollm2": ([], "<|im_start|>", "<|im_end|>", "<|im_end|>"),
    "llama3": (
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|eot_id|>",
    ),
    "qwen2.5": ([], None, "<|im_end|>", "<|im_end|>"),
    "gemma": (["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"], "<bos>", "<eos>", "<end_of_turn>"),
}


def model(folder: Path, tiny: Path, family: str, template: str | None = None) -> str:
    """Save a tiny model with the special tokens and the chat template of a family, or another template."""
    added, bos, eos, _ = FAMILIES[family]
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny)
    tokenizer.add_special_tokens({"additional_special_tokens": added})
    tokenizer.bos_token, tokenizer.eos_token = bos, eos
    tokenizer.chat_template = template or (TEMPLATES / f"{family}.jinja").read_text(encoding="utf-8")
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=512, num_key_value_heads=1, **shape)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def models(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Names of tiny models by family."""
    return {family: model(tmp_path_factory.mktemp("chat") / family, tiny, family) for family in FAMILIES}


@pytest.fixture
def here(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do in this process what would be done in one of its own: starting that takes seconds a test."""
    monkeypatch.setattr(task, "run", lambda function, payload, show=None: previews.preview(**payload))
    monkeypatch.setattr(task, "say", lambda text: None)


def turns(*texts: str) -> list[dict[str, str]]:
    """Return a conversation that the user begins."""
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


QUESTIONS = [("What is 2 + 2?", "It is 4."), ("And the sea?", "Deep,\n\nand blue."), ("Say hello 👋", "hello 🦆")]
ROWS: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any]]] = {
    "prompt and completion": ("sft", [{"prompt": q, "completion": a} for q, a in QUESTIONS], {}),
    "messages": ("sft", [{"messages": turns(q, a, "Why?", a)} for q, a in QUESTIONS], {}),
    "messages, answers only": (
        "sft",
        [{"messages": turns(q, a, "Why?", a)} for q, a in QUESTIONS],
        {"assistant_only_loss": True},
    ),
    "conversations": ("sft", [{"prompt": turns(q, a, q), "completion": turns("", a)[1:]} for q, a in QUESTIONS], {}),
    "the whole loss": (
        "sft",
        [{"prompt": q, "completion": a} for q, a in QUESTIONS],
        {"completion_only_loss": False},
    ),
    "text": ("sft", [{"text": f"{q} {a}"} for q, a in QUESTIONS], {}),
    "cut": ("sft", [{"prompt": q, "completion": a * 60} for q, a in QUESTIONS], {"max_length": 150}),
    "cut at the front": (
        "sft",
        [{"prompt": q * 3, "completion": a} for q, a in QUESTIONS],
        {"max_length": 20, "truncation_mode": "keep_end"},
    ),
    "pairs": ("dpo", [{"prompt": q, "chosen": a, "rejected": "No."} for q, a in QUESTIONS], {}),
    "pairs of conversations": (
        "dpo",
        [{"prompt": turns(q), "chosen": turns("", a)[1:], "rejected": turns("", "No.")[1:]} for q, a in QUESTIONS],
        {},
    ),
    "implicit prompts": ("dpo", [{"chosen": turns(q, a), "rejected": turns(q, "No.")} for q, a in QUESTIONS], {}),
    "pairs, cut": (
        "dpo",
        [{"prompt": q, "chosen": a * 60, "rejected": "No. " * 60} for q, a in QUESTIONS],
        {"max_length": 150},
    ),
}


def resolved(name: str, dataset: Dataset, **hyperparameters: Any) -> CustomizeSpec:
    """Return the spec of one step with all rows in a batch, as a job has it."""
    settings = {"max_steps": 1, "per_device_train_batch_size": dataset.rows} | hyperparameters
    spec = CustomizeSpec(
        name="x",
        model=name,
        technique=dataset.technique,  # type: ignore[arg-type]
        dataset=str(dataset.label),
        split=0,
        hyperparameters=settings,
        compute={"threads": 1, "dtype": "float32"},  # type: ignore[arg-type]
    )
    return prepare(spec).spec


def first_batch(spec: CustomizeSpec, folder: Path) -> dict[str, torch.Tensor]:
    """Train one step and return what the trainer was given for it."""
    trainer: Any = trainers.build(spec, folder, lambda text: None)
    taken: list[dict[str, torch.Tensor]] = []
    step = trainer.training_step

    def training_step(model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        taken.append({name: value.clone() for name, value in inputs.items() if isinstance(value, torch.Tensor)})
        return step(model, inputs, *rest)

    trainer.training_step = training_step
    trainer.train()
    return taken[0]


def as_trained(batch: dict[str, torch.Tensor], tokenizer: Any) -> list[Any]:
    """Return the sequences of a batch as a preview has them, in no order."""
    found = []
    for place, there in enumerate(batch["attention_mask"].bool()):
        ids = batch["input_ids"][place][there].tolist()
        if "labels" in batch:
            labels = batch["labels"][place][there].tolist()
            assert all(label in (masks.IGNORED, number) for label, number in zip(labels, ids, strict=True))
            trained = [int(label != masks.IGNORED) for label in labels]
        else:
            trained = batch["completion_mask"][place][there].tolist()
        found.append(show.shown(tokenizer, ids, trained))
    return sorted(found)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", ROWS)
def test_the_mask_is_that_of_the_first_batch_that_is_trained_on(
    here: None, models: dict[str, str], family: str, case: str, tmp_path: Path
) -> None:
    if (case, family) == ("messages, answers only", "smollm2"):
        pytest.skip("this template marks no answers: it is refused, which another test shows")
    technique, data, settings = ROWS[case]
    dataset = Dataset.create("seen", data, technique)
    shown = dataset.preview(models[family], rows=len(data), hyperparameters=settings)
    batch = first_batch(resolved(models[family], dataset, **settings), tmp_path / "out")
    told = [sequence for example in shown.examples for sequence in example["sequences"]]
    assert sorted(sequence["tokens"] for sequence in told) == as_trained(
        batch, AutoTokenizer.from_pretrained(models[family])
    )
    assert shown.problem is None
    assert any(sequence["cut"] for sequence in told) == ("cut" in case)
    if "cut" not in case:
        assert shown.trains_end
        assert shown.end_of_turn == (FAMILIES[family][2] if case == "text" else FAMILIES[family][3])


def test_a_preview_is_made_in_a_process_of_its_own(workspace: Path, models: dict[str, str]) -> None:
    dataset = Dataset.create("seen", ROWS["prompt and completion"][1], "sft")
    shown = dataset.preview(models["smollm2"], rows=[2], chat_template="none")
    (sequence,) = shown.examples[0]["sequences"]
    assert shown.examples[0]["row"] == 2
    assert "".join(text for text, *_ in sequence["tokens"]) == "And the sea?Deep,↵\n↵\nand blue.<|im_end|>"
    assert "".join(text for text, trained, _ in sequence["tokens"] if trained) == "Deep,↵\n↵\nand blue.<|im_end|>"


def test_lengths_are_those_counted_by_hand(here: None, models: dict[str, str]) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(models["smollm2"])
    texts = ["The sea. " * count for count in (1, 2, 3, 9, 20)]
    dataset = Dataset.create("seen", [{"text": text} for text in texts])
    counted = [len(tokenizer(text)["input_ids"]) + 1 for text in texts]
    shown = dataset.preview(models["smollm2"], hyperparameters={"max_length": counted[2]})
    assert shown.lengths == {
        "bins": [list(one) for one in previews.bins(counted)],
        "median": counted[2],
        "longest": counted[4],
        "cut_rows": 2,
        "cut_tokens": counted[3] + counted[4] - 2 * counted[2],
        "cut_first": [4, 5],
    }
    assert (shown.rows, shown.measured, shown.max_length) == (5, 5, counted[2])
    assert [example["row"] for example in shown.examples] == [1, 2, 3, 5]
    assert shown.examples[-1]["sequences"][0]["cut"] == counted[4] - counted[2]
    finding = shown.finding()
    assert finding is not None
    assert (finding.kind, finding.field, finding.count, finding.rows) == ("length", models["smollm2"], 2, (4, 5))
    assert finding.message == (
        f"2 rows are longer than max_length ({counted[2]} tokens) with {models['smollm2']}: "
        f"{counted[3] + counted[4] - 2 * counted[2]} tokens would be cut off."
    )


@pytest.mark.parametrize(
    ("lengths", "bins"),
    [
        ([3], [(3, 4, 1)]),
        ([3, 4, 4, 6], [(3, 4, 1), (4, 5, 2), (5, 6, 0), (6, 7, 1)]),
        (
            [30, 95, 100],
            [(30, 35, 1), *((start, start + 5, 0) for start in range(35, 95, 5)), (95, 100, 1), (100, 105, 1)],
        ),
    ],
)
def test_bins_are_of_round_widths_and_hold_every_row(lengths: list[int], bins: list[tuple[int, int, int]]) -> None:
    assert previews.bins(lengths) == bins


def test_of_many_rows_a_sample_is_measured_and_counts_are_scaled(
    here: None, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "MOST_MEASURED", 20)
    dataset = Dataset.create("seen", [{"text": f"The sea {number}."} for number in range(40)])
    shown = dataset.preview(models["smollm2"], rows=[1, 40])
    assert 20 <= shown.measured <= 22
    assert abs(sum(count for *_, count in shown.lengths["bins"]) - 40) <= 2
    assert shown.notes == [f"measured on {shown.measured} rows drawn from 40; counts are scaled"]
    assert [example["row"] for example in shown.examples] == [1, 40]


# Refusals.

NO_END = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
OUTSIDE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}{% endgeneration %}"
    "{% else %}{{ message['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
)
LONG = [{"prompt": "Tell me of the sea. " * 20, "completion": "Deep."} for _ in range(2)]
REFUSED = {
    "no answer is left": (
        None,
        LONG,
        {"max_length": 32},
        "seen@1 has no row with a token to train on, so MODEL would learn nothing. The prompts alone fill max_length "
        "(32 tokens), and the answers are cut off. Set max_length higher, or shorten the prompts.",
    ),
    "no end in the template": (
        NO_END,
        ROWS["prompt and completion"][1],
        {},
        "seen@1 never trains <|im_end|>, the token that ends a turn, so MODEL would not learn to stop. The chat "
        "template writes none after the assistant's turn. Mend it (chat_template.jinja in the model's folder) so that "
        "<|im_end|> follows each answer, or use chat_template: none, which ends every text with it.",
    ),
    "the end is masked": (
        OUTSIDE,
        ROWS["messages"][1],
        {"assistant_only_loss": True},
        "seen@1 never trains <|im_end|>, the token that ends a turn, so MODEL would not learn to stop. The chat "
        "template has it outside of its generation block, and assistant_only_loss trains only what is inside. Leave "
        "assistant_only_loss out, or move the token into the block.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_teach_nothing_useful_are_refused(here: None, tiny: Path, case: str, tmp_path: Path) -> None:
    template, data, settings, message = REFUSED[case]
    name = model(tmp_path / "odd", tiny, "smollm2", template)
    message = message.replace("MODEL", name)
    dataset = Dataset.create("seen", data, "sft")
    shown = dataset.preview(name, hyperparameters=settings)
    assert shown.problem == message
    spec = resolved(name, dataset, **settings)
    with pytest.raises(DataError, match=re.escape(message)):
        trainers.build(spec, tmp_path / "out", lambda text: None)
    with pytest.raises(DataError, match=re.escape(message)):
        plan.measure(spec.model_dump(mode="json"))


def test_pairs_whose_prompts_fill_the_length_are_refused(here: None, models: dict[str, str], tmp_path: Path) -> None:
    dataset = Dataset.create("seen", [{"prompt": row["prompt"], "chosen": "Deep.", "rejected": "No."} for row in LONG])
    shown = dataset.preview(models["gemma"], hyperparameters={"max_length": 32})
    assert shown.problem is not None
    assert shown.untrained_rows == 2
    assert [sequence["trained"] for sequence in shown.examples[0]["sequences"]] == [0, 0]
    with pytest.raises(DataError, match=re.escape(shown.problem)):
        trainers.build(resolved(models["gemma"], dataset, max_length=32), tmp_path / "out", lambda text: None)


@pytest.mark.parametrize("technique", ["sft", "dpo"])
def test_some_rows_without_a_trained_token_are_a_warning(
    here: None, models: dict[str, str], technique: str, tmp_path: Path
) -> None:
    answers = {"sft": {"completion": "Deep."}, "dpo": {"chosen": "Deep.", "rejected": "No."}}[technique]
    prompts = ["The sea?", LONG[0]["prompt"], "Why?", LONG[0]["prompt"] + "?"]
    dataset = Dataset.create("seen", [{"prompt": prompt, **answers} for prompt in prompts], technique)
    spec = resolved(models["llama3"], dataset, max_length=32)
    trainer: Any = trainers.build(spec, tmp_path / "out", lambda text: None)
    warning = "2 of 4 rows have no token to train on and are left out: rows 2, 4"
    assert trainer.warnings == [warning]
    assert len(trainer.train_dataset) == 2
    shown = dataset.preview(models["llama3"], hyperparameters={"max_length": 32})
    assert (shown.problem, shown.untrained_rows, shown.notes) == (None, 2, [warning])


def test_rows_that_are_all_cut_are_not_asked_for_their_end(here: None, models: dict[str, str], tmp_path: Path) -> None:
    dataset = Dataset.create("seen", [{"prompt": "Sea?", "completion": "Deep. " * 40}] * 2)
    shown = dataset.preview(models["llama3"], hyperparameters={"max_length": 32})
    assert (shown.problem, shown.trains_end) == (None, False)
    trainers.build(resolved(models["llama3"], dataset, max_length=32), tmp_path / "out", lambda text: None)


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ([{"text": "The sea."}], {"rows": [2]}, DataError, "seen@1 has no row 2; they go from 1 to 1."),
        ([{"text": "The sea."}], {"rows": 0}, DataError, "rows is 0; give how many to show, or their numbers from 1."),
        (
            [{"messages": turns("a", "b")}],
            {"chat_template": "none"},
            SpecError,
            "chat_template is none, and seen@1 holds conversations, which need one. Use auto.",
        ),
        (
            [{"text": "The sea."}],
            {"hyperparameters": {"max_lenght": 3}},
            SpecError,
            "Unknown hyperparameter 'max_lenght' for sft. Did you mean 'max_length'?",
        ),
        (
            [{"messages": turns("a", "b")}],
            {"model": "smollm2", "hyperparameters": {"assistant_only_loss": True}},
            SpecError,
            "hyperparameters.assistant_only_loss: the chat template of MODEL does not mark what the assistant says, "
            "and TRL knows no other version of it. Leave it out, or give the rows as prompt and completion, of which "
            "only the completion is trained on.",
        ),
        (
            [{"prompt": turns("a"), "completion": turns("", "b")[1:]}] * 2
            + [{"prompt": [{"role": "system", "content": "x"}, *turns("a")], "completion": turns("", "b")[1:]}],
            {},
            DataError,
            "The chat template of MODEL refuses row 3 (System role not supported) of seen@1. Change the turns of the "
            "row, leave it out, or use a model whose template takes them.",
        ),
    ],
)
def test_a_preview_that_cannot_be_made_says_why(
    here: None, models: dict[str, str], data: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    dataset = Dataset.create("seen", data)
    name = models[options.get("model", "gemma")]
    options = {key: value for key, value in options.items() if key != "model"}
    with pytest.raises(error, match=f"^{re.escape(message.replace('MODEL', name))}$"):
        dataset.preview(name, **options)


def test_conversations_want_a_chat_template(here: None, tiny: Path, tmp_path: Path) -> None:
    folder = model(tmp_path / "plain", tiny, "smollm2")
    (Path(folder) / "chat_template.jinja").unlink()
    dataset = Dataset.create("seen", [{"messages": turns("a", "b")}])
    with pytest.raises(ModelError, match="has no chat template, and seen@1 holds conversations"):
        dataset.preview(folder)


# Tool calls.

CALL = {"a": 0.12345678901234567, "city": "Köln", "none": None, "big": 2**70}
CALLED = [
    {
        "messages": [
            *turns("Weather?"),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": CALL}}],
            },
            {"role": "tool", "name": "weather", "content": "rain"},
            {"role": "assistant", "content": "It rains."},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
    },
    {
        "messages": [
            *turns("Sum?"),
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": '{"x": [1, 2]}'}}],
            },
            {"role": "tool", "content": "3"},
            {"role": "assistant", "content": "It is 3."},
        ],
        "tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "array"}}}],
    },
    {"messages": turns("Hello", "Hello.")},
]


def rendered(shown: Preview, row: int) -> str:
    """Return a row's tokens as one text without the marks."""
    (sequence,) = next(example["sequences"] for example in shown.examples if example["row"] == row)
    return "".join(text for text, *_ in sequence["tokens"]).replace("↵\n", "\n")


def test_tool_calls_reach_the_template_as_they_were_given(here: None, models: dict[str, str], tmp_path: Path) -> None:
    dataset = Dataset.create("seen", CALLED, "sft")
    shown = dataset.preview(models["qwen2.5"], rows=3, hyperparameters={"max_length": 4096})
    tokenizer: Any = AutoTokenizer.from_pretrained(models["qwen2.5"])
    parsed = list(dataset.read())
    parsed[0]["messages"][1]["content"] = ""
    parsed[1]["messages"][1]["tool_calls"][0]["function"]["arguments"] = {"x": [1, 2]}
    for number, row in enumerate(parsed, 1):
        expected = tokenizer.apply_chat_template(row["messages"], tools=row.get("tools"), tokenize=False)
        assert rendered(shown, number) == expected
    call = re.findall(r"<tool_call>\n(.*)\n</tool_call>", rendered(shown, 1))[-1]
    assert json.loads(call) == {"name": "weather", "arguments": CALL}
    batch = first_batch(resolved(models["qwen2.5"], dataset, max_length=4096), tmp_path / "out")
    assert as_trained(batch, tokenizer) == sorted(one["sequences"][0]["tokens"] for one in shown.examples)


def test_a_template_that_drops_tool_calls_is_told(here: None, models: dict[str, str], tmp_path: Path) -> None:
    dataset = Dataset.create("seen", CALLED, "sft")
    told = "the chat template does not show tool calls: 2 rows lose theirs, the first is row 1"
    assert told in dataset.preview(models["llama3"]).notes
    trainer: Any = trainers.build(resolved(models["llama3"], dataset), tmp_path / "out", lambda text: None)
    assert trainer.warnings == [told]


def test_a_template_that_takes_arguments_as_text_only_gets_text(here: None, tiny: Path, tmp_path: Path) -> None:
    template = (
        "{% for message in messages %}<|im_start|>{{ message['content'] }}"
        "{% for call in message.tool_calls or [] %}{{ 'call ' + call.function.arguments }}{% endfor %}<|im_end|>"
        "{% endfor %}"
    )
    name = model(tmp_path / "text-only", tiny, "smollm2", template)
    dataset = Dataset.create("seen", CALLED, "sft")
    assert 'call {"x": [1, 2]}<|im_end|>' in rendered(dataset.preview(name, rows=2), 2)


def test_messages_have_the_keys_that_were_given(here: None) -> None:
    table = rows.table(enumerate(CALLED, 1), ("messages",), as_chat=True)
    seen: list[Any] = []

    class Seen:
        def apply_chat_template(self, messages: Any, **_: Any) -> None:
            seen.append(messages)

    for row in table:
        rows.Reader(Seen()).apply_chat_template(row["messages"])  # type: ignore[arg-type]
    assert [list(message) for message in seen[0]] == [
        ["role", "content"],
        ["role", "content", "tool_calls"],
        ["role", "content", "name"],
        ["role", "content"],
    ]
    assert seen[0][1]["tool_calls"][0]["function"]["arguments"] == CALL
    assert seen[2] == CALLED[2]["messages"]


# Techniques that are not trained on the rows.


@pytest.mark.parametrize(
    ("technique", "data", "text"),
    [
        ("rlvr", {"prompt": "2 + 2?", "ground_truth": 4}, "<start_of_turn>user\n2 + 2?<end_of_turn>\n"),
        ("rlaif", {"prompt": turns("Hello")}, "<start_of_turn>user\nHello<end_of_turn>\n"),
        ("evaluation", {"query": "Hello", "response": "Hi"}, "<start_of_turn>user\nHello<end_of_turn>\n"),
    ],
)
def test_prompts_are_rendered_where_nothing_is_trained(
    here: None, models: dict[str, str], technique: str, data: dict[str, Any], text: str
) -> None:
    shown = Dataset.create("seen", [data], technique).preview(models["gemma"])
    assert rendered(shown, 1) == f"<bos>{text}<start_of_turn>model\n"
    assert shown.examples[0]["sequences"][0]["trained"] == 0
    assert (shown.problem, shown.untrained_rows, shown.end_of_turn) == (None, 0, None)
    assert shown.notes == [
        f"nothing is trained on these tokens: {technique} takes the prompts, and the model answers them"
    ]


# Tokens as text, and the display.


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("🦆", ["🦆"]),
        ("a🦆b", ["a", "🦆", "b"]),
        ("👩‍🚀\n\tx", ["👩", "\u200d", "🚀", "↵\n", "→\t", "x"]),
        ("é", ["é"]),
        ("日本", ["日", "本"]),
    ],
)
def test_a_character_of_several_tokens_is_one(tiny: Path, text: str, pieces: list[str]) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny)
    ids = tokenizer(text)["input_ids"]
    assert [piece for piece, *_ in show.shown(tokenizer, ids, [1] * len(ids))] == pieces


def test_half_a_character_is_shown_as_such(tiny: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny)
    ids = tokenizer("🦆")["input_ids"]
    shown = show.shown(tokenizer, [*ids[:2], tokenizer.eos_token_id], [0, 0, 1])
    assert [entry[1:] for entry in shown[-1:]] == [[1, 1]]
    assert "\N{REPLACEMENT CHARACTER}" in shown[0][0]  # type: ignore[operator]


def test_a_tokenizer_that_drops_a_leading_space_shows_it_between_words() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({"▁The": 0, "▁sea": 1, "<unk>": 2}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    assert [piece for piece, *_ in show.shown(tokenizer, [0, 1, 1], [0, 0, 0])] == ["The", " sea", " sea"]


def test_texts_are_shown_as_text(here: None, models: dict[str, str]) -> None:
    attack = "<img src=x onerror=alert(1)> & <|im_end|>"
    dataset = Dataset.create("seen", [{"prompt": attack, "completion": "<script>1</script>"}])
    shown = dataset.preview(models["smollm2"])
    page: Callable[[], str] = shown._repr_html_
    tags = {tag.lower() for tag in re.findall(r"<\s*/?\s*([a-zA-Z]+)", page())}
    known = {"div", "style", "table", "caption", "tbody", "tr", "th", "td", "svg", "rect", "line", "title", "pre"}
    assert tags <= known | {"mark", "span", "b"}
    plain = html.unescape(re.sub(r"<[^>]*>", "", page().rpartition("<pre>")[2]))
    assert attack in plain and "<script>1</script>" in plain


def test_a_preview_is_told_in_words(here: None, models: dict[str, str]) -> None:
    dataset = Dataset.create("seen", [{"prompt": "The sea?", "completion": "Deep."}])
    shown = dataset.preview(models["llama3"], hyperparameters={"max_length": 64})
    facts = dict(shown.facts())
    assert list(facts) == ["tokens", "max_length", "end of turn"]
    assert facts["max_length"] == "64: no row is cut"
    assert facts["end of turn"] == "<|eot_id|> is trained on"
    assert repr(shown).startswith(f"seen@1 as {models['llama3']} sees it (sft)\n  tokens       a row has ")
    assert "⟦Deep.<|eot_id|>⟧" in repr(shown)
    assert "<title>max_length 64</title>" not in shown._repr_html_()
    assert "<mark><b>&lt;|eot_id|&gt;</b></mark>" in shown._repr_html_()


def test_a_job_is_refused_or_warned_in_its_log(workspace: Path, models: dict[str, str]) -> None:
    import tunelab as tl

    data = [{"question": "The sea?", "answer": "Deep."}] * 2
    data.append({"question": LONG[0]["prompt"], "answer": "Deep."})
    tl.Dataset.create(
        "held", [{"prompt": "The sea?", "completion": "Wide."}, {"prompt": "The sky?", "completion": "High."}]
    )
    settings = {"max_length": 32, "max_steps": 1}
    keys: dict[str, Any] = {"technique": "sft", "model": models["llama3"], "hyperparameters": settings}
    warned = tl.customize(dataset=data, name="warned", eval_dataset="held", **keys).wait(timeout=120)
    refused = tl.customize(dataset=LONG[:1], name="refused", split=0, **keys).wait(timeout=120)
    assert (warned.state, refused.state) == ("completed", "failed")
    assert "1 of 3 rows has no token to train on and is left out: row 3" in warned.logs()
    assert "is of the form question and answer: prompt ← question, completion ← answer" in warned.logs()
    assert "warned-data@1: 1 row repeats an earlier one." in warned.logs()
    assert "1 held-out row has a prompt that is trained on as well" in warned.logs()
    assert "refused-data@1 has no row with a token to train on" in refused.logs()
