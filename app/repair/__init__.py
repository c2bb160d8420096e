"""The page Repair: the draft of a chain of steps, what is known of it, and the data of its pictures. No Streamlit but in `view`."""
