"""What gives an answer a number: rewards of reinforcement fine-tuning. The kernel imports its light parts only."""
