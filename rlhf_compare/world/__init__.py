"""A world so small that the exact optimum is known: trainers are judged by their distance to it."""
