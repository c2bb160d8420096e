"""The page Search: targets, the questions to the worker, and the data of its one component. No Streamlit but in `view`."""
