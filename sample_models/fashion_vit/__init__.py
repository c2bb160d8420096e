"""A small vision transformer trained on Fashion-MNIST."""
