"""The page Train, but for its drawing: settings, what is known of a run, data of its components, words. No Streamlit but in `view`."""
