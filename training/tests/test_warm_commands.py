"""The process that the tests start commands from."""

import os

from text_recognizer.tests.waiting import PATIENCE_S


def test_clients_that_are_killed_before_their_answer_harm_no_other(warm, tmp_path):
    with open(tmp_path / "output", "w+") as output:
        for _ in range(3):
            warm.request("example", "print(1)", cwd=tmp_path, env=os.environ, output=output).close()
        asked_for = warm.start("example", "print(2)", cwd=tmp_path, env=os.environ, output=output)
        assert asked_for.wait(PATIENCE_S) == 0
        assert "2" in (tmp_path / "output").read_text()
