"""A narrow MobileNetV2 trained on Fashion-MNIST."""
