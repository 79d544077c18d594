"""``make frontier``: each method over its own knob, and what theory says of the same drift."""
