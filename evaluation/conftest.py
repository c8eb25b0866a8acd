from text_recognizer.tests.conftest import digits_prepared, private_folders  # noqa: F401 - fixtures for tests here
