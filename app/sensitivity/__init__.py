"""What the page Sensitivity shows: its question, the scores merged from several results, their words and files."""
