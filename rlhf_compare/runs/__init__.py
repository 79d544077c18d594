"""Code shared by all stages: run directories, arguments, timing, checkpoints, logging."""
