"""How tokens are picked from logits, and in which order positions are filled."""
