"""Worker only: lm-eval's tasks. Their names, local rows in place of the hub's, and models as lm-eval asks them."""
