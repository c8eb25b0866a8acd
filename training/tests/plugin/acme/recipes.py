"""An optimizer, a schedule and an augmentation from outside."""

from text_recognizer.augmentation.recipes import Affine
from text_recognizer.optimizers import adam
from text_recognizer.recipes import AugmentationRecipe, OptimizerRecipe, ScheduleRecipe
from text_recognizer.schedules import Cosine


def calm_adam() -> OptimizerRecipe:
    """Adam with a slower second moment."""
    return adam(beta_2=0.9999)


def slope() -> ScheduleRecipe:
    """A cosine."""
    return Cosine()


def wobble() -> AugmentationRecipe:
    """Turned a little."""
    return Affine(rotation_degrees=2.0)
