"""Which layout seeds are for what; no layout serves two purposes."""

TRAINING_LAYOUTS = range(0, 100_000)
"""Of demonstrations."""

VALIDATION_LAYOUTS = range(TRAINING_LAYOUTS.stop, 200_000)
"""For choosing hyper-parameters, and whatever is looked at while something is made."""

REPORTING_LAYOUTS = range(VALIDATION_LAYOUTS.stop, 1_000_000)
"""Of reported figures."""
