"""Worker only: from a resolved spec to a TRL trainer, its callbacks and its plan."""
