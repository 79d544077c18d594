"""Best of n: no training after the reward model; every answer is the best of n sampled ones."""
