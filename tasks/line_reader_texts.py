"""Texts for rendered lines: words of seven languages in random order, with capitals, numbers and punctuation."""

import random
import sys
from pathlib import Path

LINES = 1_000
LISTS = ("american-english", "dutch", "french", "italian", "ngerman", "portuguese", "spanish")
AROUND = (
    ("{}",) * 30 + ("{},",) * 5 + ("{}.", "{}.", "{};", "{}:", "{}!", "{}?", "({})", '"{}"', "«{}»", "“{}”", "„{}“")
)
SIGNS = ("&", "+", "=", "%", "§", "/", "*", "-", "\N{EN DASH}", "\N{EM DASH}", "€", "£", "$", "N°", "No.", "§ 7", "#")


def line(words: list[str], rng: random.Random) -> str:
    parts: list[str] = []
    for _ in range(rng.randint(2, 6)):
        kind = rng.random()
        if kind < 0.12:
            word = str(rng.randrange(10 ** rng.randint(1, 4)))
        elif kind < 0.15:
            word = rng.choice(SIGNS)
        else:
            word = rng.choice(words)
            word = word.upper() if kind > 0.97 else word.capitalize() if kind > 0.78 else word
        parts.append(rng.choice(AROUND).format(word))
    return " ".join(parts)[:48].strip()


def main() -> None:
    rng = random.Random(1905)
    lists = []
    for name in LISTS:
        text = (Path(sys.argv[1]) / name).read_text(encoding="utf-8")
        lists.append([word for word in text.split() if len(word) < 14])
    for number in range(LINES):
        sys.stdout.write(line(lists[number % len(lists)], rng) + "\n")


if __name__ == "__main__":
    main()
