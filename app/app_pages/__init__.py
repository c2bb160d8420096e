"""One file a page: reads state, draws, calls the client; no arithmetic."""
