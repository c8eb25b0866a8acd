"""A campaign of mutated inputs: any file is read, or refused with a sentence, in bounded time and memory.

python -m training.tests.fuzzing                        every target, 1,000 inputs each
python -m training.tests.fuzzing images.png --inputs 100000 --seed 7 --jobs 2 --keep finds
python -m training.tests.fuzzing finds/images.png-1a2b3c4d.zip     one find again, with its traceback

Each target reads one kind of file or folder as a command would. Its valid inputs are made here in the exact formats;
mutators change bytes, lengths, tokens, JSON and XML trees, and what lies inside archives. Worker processes are forked
from a warm parent, so a crash or a hang takes down one worker and its input is kept. An input is clean when it is
accepted, or refused with an error of the project's family; a traceback, more than 10 s of processor time, or more than
1 GB of memory is a find. The same seed gives the same inputs.

A new kind of input is one line in `targets.TARGETS`. What once failed stays in finds/ and is replayed by the tests.
"""
