"""How good a recogniser is, and how fast: metrics with their intervals, evaluation of bundles, regression gates."""
