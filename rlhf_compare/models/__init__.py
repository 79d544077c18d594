"""Policies, references and scalar heads. A stage gets a model and gives back a directory."""
