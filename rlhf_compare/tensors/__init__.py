"""Pure functions of tensors: one formula, one function, one place. Imports torch alone.

Dimensions: B sequences, P prompt positions, R response positions, T = P + R, V vocabulary.
Masks are boolean, True = counts.
"""
