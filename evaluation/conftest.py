"""Fixtures of the tests here."""

from text_recognizer.tests.conftest import digits_prepared, no_trusted_code, private_folders  # noqa: F401 - fixtures for tests here
