"""Augmentation: recipes by name, and the random transforms they are made of."""
