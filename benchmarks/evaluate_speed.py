"""The claim: a base model and its adapter answer faster together, in the memory of one, than by plain loops or lm-eval.

    TUNELAB_DATA=/path/to/data python benchmarks/evaluate_speed.py

smollm2-135m and a LoRA adapter on it (rank 16, all linear layers, random weights) answer the same prompts of
human-like, greedy, in float32, each way in a process of its own:

- tunelab, as `%evaluate` has it: `tunelab.evaluation.answers.answer`, with an empty cache of answers;
- transformers: two plain loops one after the other. Each loads its base, pads batches of the same size on the left in
  the order of the file, and calls `generate`; the second puts the adapter on by PEFT;
- lm-eval's `HFLM` (`generate_until`, as its tasks call it), for one model after the other, where it is installed.

The ways take turns, and the one that begins changes from round to round. A round's time is by the wall, from the first
import's end to the last answer, loading included; CPU time tells more where others use the machine too. Given are the
median, the lowest and the highest, and ratios of the same round. Memory is the peak of the process. The answers are
held against those of transformers' loops: float noise may turn a near tie, and nothing else may differ. The exit status
is 1 where tunelab is not the fastest, or fewer than 95% of its answers are those of the loops.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tunelab.jobs import machine
from tunelab.models import find
from tunelab.registry import index

MODEL, ADAPTER, SEED = "smollm2-135m", "tuned@1", 42
TUNELAB, PLAIN, LM_EVAL = "tunelab", "transformers", "lm-eval"
WAYS = (TUNELAB, PLAIN, LM_EVAL)
LIMIT_S = 3600
SAME = 0.95


def by_tunelab(prompts: list[str], tokens: int, batch: int) -> list[list[str]]:
    """Answer as an evaluation does."""
    from tunelab.evaluation.answers import answer
    from tunelab.spec.evaluate import Generation

    def go() -> list[list[str]]:
        found = answer([MODEL, ADAPTER], prompts, Generation(max_new_tokens=tokens, batch_size=batch), device="cpu")
        return [[one.text for one in found[name]] for name in (MODEL, ADAPTER)]

    return timed(go)


def by_transformers(prompts: list[str], tokens: int, batch: int) -> list[list[str]]:
    """Answer by a loop over batches, for one model after the other."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(machine.threads())
    folder, adapter = folders()

    def loop(with_adapter: bool) -> list[str]:
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        if with_adapter:
            model = peft.PeftModel.from_pretrained(model, adapter)
        model.eval()
        found = []
        for begin in range(0, len(prompts), batch):
            turns = [[{"role": "user", "content": prompt}] for prompt in prompts[begin : begin + batch]]
            inputs = tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
            )
            with torch.inference_mode():
                out = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
            found += tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return found

    return timed(lambda: [loop(False), loop(True)])


def by_lm_eval(prompts: list[str], tokens: int, batch: int) -> list[list[str]]:
    """Answer as lm-eval's tasks do, for one model after the other."""
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(machine.threads())
    folder, adapter = folders()

    def loop(**more: str) -> list[str]:
        lm = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=batch, **more)
        settings = {"until": [], "max_gen_toks": tokens, "do_sample": False}
        requests = [
            Instance(
                "generate_until", {}, (lm.apply_chat_template([{"role": "user", "content": prompt}]), settings), at
            )
            for at, prompt in enumerate(prompts)
        ]
        return list(lm.generate_until(requests, disable_tqdm=True))

    return timed(lambda: [loop(), loop(peft=str(adapter))])


def folders() -> tuple[Path, Path]:
    """Return the folders of the base and of the adapter."""
    adapter = find.find(ADAPTER)
    assert adapter.base is not None and adapter.base.folder is not None and adapter.folder is not None
    return adapter.base.folder, adapter.folder


def timed(go: Callable[[], list[list[str]]]) -> list[list[str]]:
    """Call, and note the time in `clock`."""
    begin = time.perf_counter(), time.process_time()
    found = go()
    clock.update(wall_s=time.perf_counter() - begin[0], cpu_s=time.process_time() - begin[1])
    return found


clock: dict[str, float] = {}
WORK = {TUNELAB: by_tunelab, PLAIN: by_transformers, LM_EVAL: by_lm_eval}


def work(way: str, order: str) -> None:
    """In a process of its own: answer in one of the `WAYS`, and print what was measured."""
    given = json.loads(Path(order).read_text(encoding="utf-8"))
    # What libraries print must not get between.
    out, sys.stdout = sys.stdout, sys.stderr
    answers = WORK[way](**given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"answers": answers, "peak": peak} | clock), file=out)


def make_adapter(home: Path) -> None:
    """Put an adapter with random weights on the model, and note it as a custom model."""
    code = (
        "import peft, sys, torch; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "base, target = sys.argv[1:]; torch.manual_seed(0)\n"
        "config = peft.LoraConfig(r=16, lora_alpha=32, target_modules='all-linear', task_type='CAUSAL_LM')\n"
        "model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)\n"
        "for name, weight in model.named_parameters():\n"
        "    if 'lora_B' in name: torch.nn.init.normal_(weight, std=0.01)\n"
        "model.save_pretrained(target); AutoTokenizer.from_pretrained(base).save_pretrained(target)\n"
    )
    folder = home / "adapter"
    subprocess.run(
        [sys.executable, "-c", code, str(find.find(MODEL).folder), str(folder)], check=True, stderr=subprocess.DEVNULL
    )
    index.add(index.Entry("tuned", 1, "none", "none", MODEL, "sft", "none@1", "lora", str(folder), "2025-01-01"))


def measure(way: str, order: Path, home: Path) -> dict[str, Any]:
    """Answer once in a process of its own."""
    shutil.rmtree(home / "cache", ignore_errors=True)
    command = [sys.executable, __file__, "--work", way, str(order)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{way} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def spread(values: list[float], digits: int = 2) -> str:
    """Return the median with the lowest and the highest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def report(results: dict[str, list[dict[str, Any]]], rows: int) -> list[str]:
    """Return the lines of the table."""
    plain = results[PLAIN][0]["answers"]
    lines = ["| way | records/s | by CPU time | times tunelab's time | peak GB | as transformers |", "|---" * 6 + "|"]
    for way, found in results.items():
        rate = spread([rows / one["wall_s"] for one in found])
        by_cpu = spread([rows / one["cpu_s"] for one in found])
        ratio = spread([one["wall_s"] / own["wall_s"] for one, own in zip(found, results[TUNELAB], strict=True)])
        peak = spread([one["peak"] / 1e9 for one in found])
        same = shared(found[0]["answers"], plain)
        lines.append(f"| {way} | {rate} | {by_cpu} | {ratio} | {peak} | {same:.1%} |")
    return lines


def shared(answers: list[list[str]], others: list[list[str]]) -> float:
    """Return the share of answers that are the same."""
    pairs = [(a, b) for one, other in zip(answers, others, strict=True) for a, b in zip(one, other, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


def main() -> int:
    """Measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=96, help="prompts for each model (default: 96)")
    parser.add_argument("--tokens", type=int, default=96, help="the longest answer (default: 96)")
    parser.add_argument("--batch", type=int, default=16, help="answers at a time (default: 16)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way answers (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured to FILE")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(*given.work)
        return 0
    if "TUNELAB_DATA" not in os.environ:
        print("Skipped: TUNELAB_DATA is not set. It names a folder with human-like/pairs.jsonl.")
        return 0
    ways = list(WAYS)
    if subprocess.run([sys.executable, "-c", "import lm_eval"], capture_output=True, check=False).returncode:
        print("lm-eval is not installed (pip install 'tunelab[benchmarks]'): measured without it.")
        ways.remove(LM_EVAL)
    os.environ |= {"DO_NOT_TRACK": "true", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    if not (find.prepared(MODEL) / "source.json").is_file():
        code = f"from tunelab.models import find, load; load.bring(find.find({MODEL!r}), print)"
        subprocess.run([sys.executable, "-c", code], check=True)
    home = Path(tempfile.mkdtemp(prefix="tunelab-speed-"))
    (home / "models").symlink_to(find.prepared(MODEL).parent, target_is_directory=True)
    os.environ["TUNELAB_HOME"] = str(home)
    began = time.monotonic()
    results: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    try:
        make_adapter(home)
        path = Path(os.environ["TUNELAB_DATA"]).expanduser() / "human-like" / "pairs.jsonl"
        with path.open(encoding="utf-8") as file:
            prompts = list(dict.fromkeys(json.loads(line)["prompt"] for line in file))[: given.rows]
        order = home / "order.json"
        order.write_text(
            json.dumps({"prompts": prompts, "tokens": given.tokens, "batch": given.batch}), encoding="utf-8"
        )
        for number in range(given.rounds):
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                results[way].append(measure(way, order, home))
                last = results[way][-1]
                print(f"{time.strftime('%H:%M:%S')} {way}: {last['wall_s']:.1f} s", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(home)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    load = " ".join(f"{value:.1f}" for value in psutil.getloadavg())
    print(f"{psutil.cpu_count()} cores, load {load}, {(time.monotonic() - began) / 60:.0f} minutes")
    print(
        f"{len(prompts)} prompts, 2 models, up to {given.tokens} tokens, {given.batch} at a time, "
        f"{given.rounds} round{'' if given.rounds == 1 else 's'}\n"
    )
    print("\n".join(report(results, 2 * len(prompts))))
    medians = {way: statistics.median(one["wall_s"] for one in found) for way, found in results.items()}
    is_fastest = all(medians[TUNELAB] <= seconds for seconds in medians.values())
    return 0 if is_fastest and shared(results[TUNELAB][0]["answers"], results[PLAIN][0]["answers"]) >= SAME else 1


if __name__ == "__main__":
    sys.exit(main())
