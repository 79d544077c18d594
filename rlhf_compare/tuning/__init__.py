"""``make tune``: a declared search, as large for every method, on prompts that judge nothing."""
