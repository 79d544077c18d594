"""Imitation of the chosen responses: what preference data teach without their rejected half."""
