"""``make replicate``: a recipe's results under fresh seeds, held against its first results."""
