"""Proximal policy optimisation against a learned reward, R(x, y) = r(x, y) - beta * log ratio."""
