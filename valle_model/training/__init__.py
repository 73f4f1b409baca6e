"""Training: the loop, who takes an optimizer step, and what is written down."""
