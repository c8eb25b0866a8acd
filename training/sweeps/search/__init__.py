"""Searches: choose the next point, given the seed and the trials so far.

To add a search: one file with a subclass of `Search`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

# By the `method` of a sweep's file; --search accepts any of them, or an external one.
SEARCHES = {
    "bayes": "training.sweeps.search.bayes:BayesSearch",
    "grid": "training.sweeps.search.grid:GridSearch",
    "list": "training.sweeps.search.list:ListSearch",
    "population": "training.sweeps.search.population:PopulationSearch",
    "random": "training.sweeps.search.random:RandomSearch",
}
add_kind("search", SEARCHES, "training.sweeps.search.base:Search", "searches", given=("plan", "allow_repeats"))
