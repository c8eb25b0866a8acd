"""Lines of text: preparation, against older recognisers on two cores; decoding and reading, against budgets."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from text_recognizer.datasets.base import DataSpec
from text_recognizer.datasets.drawing.fonts import DEFAULT_FONT
from text_recognizer.datasets.lines.iam import IamDataset
from text_recognizer.datasets.lines.rendered_lines import RenderedLinesDataset, Rendering
from text_recognizer.datasets.lines.sentences import SentenceSource
from text_recognizer.decoding.beam import beam_search
from text_recognizer.decoding.greedy import greedy_labels, softmax
from text_recognizer.decoding.language_model import CharacterLanguageModel
from text_recognizer.images.read import png_bytes
from text_recognizer.models.bundle import write_bundle
from text_recognizer.models.line_ctc import LineModelCtc
from text_recognizer.networks.line_reader import LineReader
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.settings import REPOSITORY
from text_recognizer.spec import ExperimentSpec
from training.benchmarks.harness import Figure, medians, own_folder, seconds

TEXTS, REPETITIONS = 2_000, 15  # each text clean and noisy
# Of older recognisers: images a second that one rendered, and lines a second that another prepared (31 ms each).
OLDER_RENDERED, OLDER_PREPARED = 327.0, 1 / 0.031
SHARED = REPOSITORY.parent / "shared" / "data"  # Chinese verses and a font for them, where they are at hand
LINES, LINES_A_FORM, DIFFERENT = 10_000, 8, 400  # one image stands for several lines of one writer
HEIGHT, WIDTH = 128, 1024
STEPS: tuple[Any, ...] = ("illumination", "deslant")
FRAMES, BEAM_WIDTH, DECODED = 128, 25, 64
# Classes; the budget of a line in milliseconds; by how much what is there stands out, so that a frame has three to
# eight characters above a thousandth, as real readers of 80 to 94 classes have.
CASES = ((98, 5.0, 10.5), (3790, 10.0, 12.0))
READ, BATCHED_MS, FIRST_MS = 128, 10.0, 30.0


def line_decoding() -> list[Figure]:
    """Beam search of 25 prefixes, with and without a language model, against its budget per line."""
    figures = []
    for classes, budget_ms, peak in CASES:
        logits = _made_outputs(DECODED, classes, peak)
        ours, listening, greedy = medians(
            3,
            partial(_ms_a_line, _ours, logits),
            partial(_ms_a_line, partial(_ours, language=_made_language(classes)), logits),
            partial(_ms_a_line, lambda some: greedy_labels(some, np.full(len(some), FRAMES)), logits),
        )
        what = f"beam {BEAM_WIDTH}, {FRAMES} frames, {classes:,} classes"
        figures += [
            Figure(f"{what}: ours / budget", ours, budget_ms, "ms a line"),
            Figure(f"{what}, with 6-grams / budget", listening, budget_ms, "ms a line"),
            Figure(f"greedy, {classes:,} classes / beam", greedy, ours, "ms a line"),
        ]
    return figures


def _made_outputs(lines: int, classes: int, peak: float) -> NDArray[np.float32]:
    """Logits like a reader's: mostly blank, a character every three frames, every fourth of them uncertain."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (lines, FRAMES, classes)).astype(np.float32)
    logits[:, :, 0] += peak
    rows = np.arange(lines)
    for frame in range(1, FRAMES, 3):
        best, second = random.integers(1, classes, (2, lines))
        logits[rows, frame, 0] -= peak
        logits[rows, frame, best] += peak + 1
        doubt = random.random(lines) < 0.25
        logits[rows[doubt], frame, second[doubt]] += peak
    return logits


def _made_language(classes: int) -> CharacterLanguageModel:
    """A model of character 6-grams as large as one of some thousand lines."""
    random = np.random.default_rng(1)
    odds = 1 / np.arange(1, classes)
    labels = [random.choice(np.arange(1, classes), 40, p=odds / odds.sum()) for _ in range(3000)]
    return CharacterLanguageModel.learn(labels, classes, 6)


def _ms_a_line(decode: Any, logits: NDArray[np.float32]) -> float:
    return seconds(lambda: decode(logits)) * 1000 / len(logits)


def _ours(logits: NDArray[np.float32], language: CharacterLanguageModel | None = None) -> None:
    scorers = [] if language is None else [(language, 0.5)]
    size = 8 if logits.shape[2] > 1000 else len(logits)  # as LineModelCtc scores them
    for start in range(0, len(logits), size):
        part = logits[start : start + size]
        beam_search(softmax(part), np.full(len(part), FRAMES), BEAM_WIDTH, scorers, 1.0 if scorers else 0.0)


def line_reading() -> list[Figure]:
    """The default reader in batches and alone, against budgets."""
    lines = made_lines()
    with own_folder() as folder:
        write_reader(folder / "model")
        predictor = LinePredictor(folder / "model")

    def alone_ms(line: NDArray[np.uint8]) -> float:
        return seconds(lambda: predictor.predict(line)) * 1000

    first = alone_ms(sorted(lines, key=lambda line: line.shape[1])[READ // 2])
    predictor.predict_many(lines)  # the kernels for each width
    batched, alone = medians(
        5,
        lambda: seconds(lambda: predictor.predict_many(lines)) * 1000 / READ,
        lambda: float(np.median(list(map(alone_ms, lines[:20])))),
    )
    return [
        Figure(f"{READ} lines, greedy, from pictures to texts / budget", batched, BATCHED_MS, "ms a line"),
        Figure("first line of a process that has its reader, of median width / budget", first, FIRST_MS, "ms"),
        Figure("one line alone / budget", alone, FIRST_MS, "ms"),
    ]


def made_lines() -> list[NDArray[np.uint8]]:
    """Dark strokes on light paper, 64 pixels high and 5 to 20 times as wide."""
    random = np.random.default_rng(0)
    lines = []
    for width in random.integers(320, 1280, READ).tolist():
        line = np.full((64, width), 235, np.uint8)
        for left in range(8, width - 8, 14):
            top = int(random.integers(8, 30))
            line[top : top + 28, left : left + 4] = 30
        lines.append(line)
    return lines


def write_reader(folder: Path) -> None:
    """The bundle of an untrained reader, which is as fast as a trained one."""
    classes = ("", *map(chr, range(33, 33 + 97)))
    data_spec = DataSpec((40, None, 1), classes, "line", preprocessing=("contrast",))
    spec = ExperimentSpec("LineListDataset", "LineModelCtc", "line_reader")
    write_bundle(folder, LineModelCtc(data_spec, LineReader()), spec, "made", {}, "none")


def line_rendering() -> list[Figure]:
    """Rendered lines, rotated and noisy, against a recogniser that rendered and saved them one by one."""
    with own_folder() as folder:
        source = SentenceSource(map(chr, range(32, 127)))
        texts = sorted({one for one in source.sentences(3 * TEXTS, 7, np.random.default_rng(0)) if len(one) >= 5})
        made_up = folder / "texts.txt"
        made_up.write_text("\n".join(texts[:TEXTS]), encoding="utf-8")
        figures = [_rendering("Latin, the font of Pillow", made_up, ())]
        verses = SHARED / "thuocl" / "THUOCL_poem.txt"
        fonts = sorted((SHARED / "fonts" / "lxgw-wenkai").glob("*.ttf"))
        if verses.exists() and fonts:
            figures.append(_rendering("Chinese verses", verses, (str(fonts[0]),)))
    return figures


def _rendering(what: str, texts: Path, fonts: tuple[str, ...]) -> Figure:
    """Images per second of a whole preparation, including splits and store."""
    dataset = RenderedLinesDataset(texts=str(texts), fonts=fonts, num_texts=TEXTS, repetitions=REPETITIONS)
    taken_s = seconds(dataset.prepare)
    rate = sum(dataset.sizes().values()) / taken_s
    return Figure(f"rendered lines, {what}: prepare / one by one", rate, OLDER_RENDERED, "images/s", ">= 20")


def iam_preparation() -> list[Figure]:
    """Lines in the layout of IAM, light and slant corrected, against an older recogniser."""
    with own_folder() as folder:
        _write_iam(folder / "iam")
        as_wanted: dict[str, Any] = {"height": HEIGHT, "max_width": WIDTH, "ink": "dark", "preprocessing": STEPS}
        dataset = IamDataset(str(folder / "iam"), split="writers", **as_wanted)
        prepare_s = seconds(dataset.prepare)
        whole = len(dataset.pool) / prepare_s
    what = f"{LINES:,} IAM lines, {HEIGHT} px high, light and slant corrected: all cores / one by one"
    return [Figure(what, whole, OLDER_PREPARED, "lines a second", ">= 5")]


def _write_iam(root: Path) -> None:
    """lines.txt, forms.txt and images as large as IAM's lines: slanted, noisy, darker to the right."""
    from PIL import Image

    random = np.random.default_rng(0)
    rendering = Rendering(height=110, noise=("gaussian",), ink="dark")
    texts = list(SentenceSource(map(chr, range(32, 127))).sentences(DIFFERENT, 48, random))
    contents = []
    for text in texts:
        line = Image.fromarray(rendering.draw(text, DEFAULT_FONT, True, random))
        slanted = line.transform(line.size, Image.Transform.AFFINE, (1, 0.3, -16, 0, 1, 0), fillcolor=255)
        contents.append(png_bytes((np.asarray(slanted) * np.linspace(1, 0.7, line.width)).astype(np.uint8)))
    lines, forms = [], []
    for number in range(LINES):
        form_number, place = divmod(number, LINES_A_FORM)
        form = f"a{form_number // 1000:02}-{form_number % 1000:03}"
        file = root / "lines" / form[:3] / form / f"{form}-{place:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[number % DIFFERENT])
        lines.append(f"{file.stem} ok 154 19 408 746 1661 89 {texts[number % DIFFERENT].replace(' ', '|')}\n")
        if place == 0:  # identical lines are of one writer, and so in one split
            forms.append(f"{form} {form_number % (DIFFERENT // LINES_A_FORM):03} 2 prt 8 8 9 9\n")
    (root / "ascii").mkdir()
    (root / "ascii" / "lines.txt").write_text("".join(lines), encoding="utf-8")
    (root / "ascii" / "forms.txt").write_text("".join(forms), encoding="utf-8")
