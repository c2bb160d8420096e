"""The fashion_mobilenet with its channels rescaled: the same function, and weights that no single grid fits."""
