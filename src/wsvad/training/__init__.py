"""One loop runs the phases of any method: seeds, checkpoints, resume."""
