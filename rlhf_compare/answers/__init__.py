"""One question to the trained policies of a recipe: their answers side by side; trains nothing."""
