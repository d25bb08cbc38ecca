"""The training loop: one step, one worker, one or many processes."""
