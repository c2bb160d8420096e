"""The graph view's arithmetic: blocks, layered layout, columns, and the words and colours on it; no drawing."""
