"""The table of targets: what reads an input, and where valid inputs come from."""

from training.tests.fuzzing import characters, commands, lines, models, pictures, runs, specs, sweeps, transfers, views
from training.tests.fuzzing.base import Target

_ROOMS = (specs, lines, characters, pictures, transfers, models, runs, sweeps, views, commands)
TARGETS: dict[str, Target] = {target.name: target for room in _ROOMS for target in room.TARGETS}
