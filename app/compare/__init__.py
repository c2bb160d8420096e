"""Compare: which runs there are, what tells two of them apart, and the words for it."""
