"""What users write: the text with its positions, the expressions in it, and what it means."""
