"""A package from outside: one part of each kind that can be added."""
