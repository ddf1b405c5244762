"""Jobs: the manager in the kernel, the runner and worker processes, and the journal that ties them together."""
