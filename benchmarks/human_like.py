"""30 steps of DPO on human-like answers open the held-out reward margin.

Run as `TUNELAB_DATA=FOLDER python benchmarks/human_like.py`. Trains smollm2-135m on FOLDER/human-like/pairs.jsonl with
the recipe's settings, and prints the held-out reward margin along the way and five fixed questions answered before and
after, unedited. Without TUNELAB_DATA it says so and stops.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import tunelab as tl

QUESTIONS = [
    "What's the best way to spend a rainy Sunday?",
    "Do you prefer the mountains or the sea?",
    "How do you get over a bad day at work?",
    "What's something you could talk about for hours?",
    "Is it worth learning to cook from scratch?",
]


def main() -> int:
    """Run the fine-tuning and print what came out; return 1 if the held-out margin did not rise."""
    if "TUNELAB_DATA" not in os.environ:
        print("TUNELAB_DATA is not set to the folder with human-like/pairs.jsonl: skipped.")
        return 0
    begin = time.monotonic()
    job = tl.customize(
        model="smollm2-135m",
        technique="dpo",
        dataset=Path(os.environ["TUNELAB_DATA"]) / "human-like" / "pairs.jsonl",
        name="human-like",
        split=16,
        # Two pairs a step and sixteen held out: the rows are long, and this takes ten minutes of two cores as it is.
        hyperparameters={"max_steps": 30, "eval_steps": 15, "per_device_train_batch_size": 2},
    )
    job.wait()
    if job.state != "completed" or job.model is None:
        print(job.logs())
        return 1
    metrics = job.metrics()
    held_out = metrics[["eval_loss", "eval_rewards/margins", "eval_rewards/accuracies"]].dropna()
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes; the held-out rows:")
    print(held_out.to_string())
    print(f"train loss {metrics['loss'].dropna().iloc[0]:.4f} -> {metrics['loss'].iloc[-1]:.4f}\n")
    print(tl.generate(["smollm2-135m", job.model], QUESTIONS, max_new_tokens=60))
    margins = held_out["eval_rewards/margins"]
    return 0 if margins.iloc[-1] > margins.iloc[0] else 1


if __name__ == "__main__":
    sys.exit(main())
