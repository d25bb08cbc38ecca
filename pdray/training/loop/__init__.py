"""The training loop: one step, one worker, many processes."""
