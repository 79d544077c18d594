"""One recipe under many settings: variants that are made, run and measured in one place.

The variants of a method share data, SFT and reward models by the pipeline's own rules, and what is
finished is not run again.
"""
