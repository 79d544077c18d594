"""Direct preference optimisation (Rafailov et al. 2023): no reward model, no sampling."""
