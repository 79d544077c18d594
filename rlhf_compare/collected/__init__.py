"""Parts of a method's results that are read from its finished stages."""
