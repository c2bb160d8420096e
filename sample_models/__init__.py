"""Sample models, and the scripts that made them."""
