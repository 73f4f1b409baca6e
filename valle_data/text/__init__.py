"""Text to phones: normalisation, phonemizers (a table) and the phone vocabulary."""
