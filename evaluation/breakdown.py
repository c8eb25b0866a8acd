"""Error rates by length of the text, by writer, by character.

Also the errors that remain when case and look-alikes are ignored.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evaluation.predictions import errors_of

Rows = Sequence[Mapping[str, Any]]

MOST_GROUPS, MOST_CHARACTERS = 50, 500
LENGTHS = (5, 10, 20, 30, 40, 60, 80)  # maximum length of each row but the last
# Groups of characters that look alike in print or handwriting; lower case, as case is folded first.
_LETTERS, _SIGNS = ("o0", "il1|!", "s5", "z2", "b8", "g9q"), (".,", "-\u2010\u2013\u2014", "'`\u00b4\u2018\u2019")
LOOK_ALIKES = (*_LETTERS, *_SIGNS, '"\u201c\u201d\u201e')
_FOLDED = str.maketrans({one: like[0] for like in LOOK_ALIKES for one in like})


def folded(text: str) -> str:
    """A text with case folded and look-alikes merged."""
    return text.casefold().translate(_FOLDED)


def by_group(rows: Rows, groups: Sequence[str] | None) -> list[dict[str, Any]]:
    """Samples and errors of each writer or page; at most MOST_GROUPS, with the highest rates."""
    if groups is None:
        return []
    parts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[groups[row["position"]]].append(row)
    found = [{"group": name, **_totals(part)} for name, part in sorted(parts.items())]
    return sorted(found, key=lambda one: -one["rate"])[:MOST_GROUPS] if len(found) > 1 else []


def by_length(rows: Rows) -> list[dict[str, Any]]:
    """Number of lines and their errors by ranges of length."""
    parts: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[sum(len(row["label"]) > longest for longest in LENGTHS)].append(row)
    ends: list[int | None] = [*LENGTHS, None]
    return [
        {"from": LENGTHS[place - 1] + 1 if place else 0, "to": ends[place], **_totals(parts[place])}
        for place in sorted(parts)
    ]


def by_character(rows: Rows) -> list[dict[str, Any]]:
    """How often each character occurs, is misread or missed, and is read in error; most frequent first."""
    occurs, lost, invented = (Counter[str]() for _ in range(3))
    for row in rows:
        occurs.update(row["label"])
        for right, read in edits(row["label"], row["predicted"]):
            lost[right] += 1
            invented[read] += 1
    return [
        {"character": one, "count": count, "lost": lost[one], "invented": invented[one], "rate": lost[one] / count}
        for one, count in sorted(occurs.items(), key=lambda item: (-item[1], item[0]))[:MOST_CHARACTERS]
    ]


def edits(text: str, reading: str) -> Iterator[tuple[str, str]]:
    """(label, reading) of each edit; "" for an insertion or a deletion."""
    from rapidfuzz.distance import Levenshtein

    for edit in Levenshtein.editops(text, reading) if text != reading else ():
        right = "" if edit.tag == "insert" else text[edit.src_pos]
        yield right, "" if edit.tag == "delete" else reading[edit.dest_pos]


def _totals(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    pairs = [errors_of(row) for row in rows]
    errors, of = (int(sum(column)) for column in zip(*pairs, strict=True))
    return {"samples": len(pairs), "errors": errors, "of": of, "rate": errors / max(of, 1)}
