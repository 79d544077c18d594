"""The reward model: a scalar head on the SFT model's backbone, trained on pairs."""
