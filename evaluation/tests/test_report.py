import json

from evaluation.report import _read_lines


def test_a_text_may_hold_what_other_programs_take_for_the_end_of_a_line(tmp_path):
    rows = [{"predicted": "a\u2028b\x85c"}, {"predicted": "d"}]
    (tmp_path / "predictions.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    assert _read_lines(tmp_path / "predictions.jsonl") == rows
