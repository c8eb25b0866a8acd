"""What is wrong with a sweep, where, and whether W&B's own schema says so too."""

from dataclasses import dataclass

from text_recognizer.yaml_source import YamlPath


@dataclass(frozen=True)
class Problem:
    """One problem of a sweep, in one or two sentences.

    Args:
        path: the keys that lead to it in the YAML.
        beyond_schema: W&B's schema accepts it, but W&B's client, its engine or this project cannot run it;
            the sentence says why.
    """

    path: YamlPath
    sentence: str
    beyond_schema: bool = False
