"""Group relative policy optimisation (Shao et al. 2024): the value of a prompt is the mean score of
several responses to it, so no value model is trained."""
