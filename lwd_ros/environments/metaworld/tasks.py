"""The Metaworld tasks by name, and what has to be known of each that its code does not say in data."""

PERIOD_S = 0.0125
"""Metaworld's control period: 5 steps of MuJoCo of 2.5 ms."""

EPISODE_STEPS = 500
"""Metaworld's episode length; the protocol that success rates are stated for."""

MT10 = (
    "reach-v3",
    "push-v3",
    "pick-place-v3",
    "door-open-v3",
    "drawer-open-v3",
    "drawer-close-v3",
    "button-press-topdown-v3",
    "peg-insert-side-v3",
    "window-open-v3",
    "window-close-v3",
)
"""The ten tasks of Metaworld's MT10, in its order (Yu et al. 2020, arXiv 1910.10897)."""

MT50 = (
    "assembly-v3",
    "basketball-v3",
    "bin-picking-v3",
    "box-close-v3",
    "button-press-topdown-v3",
    "button-press-topdown-wall-v3",
    "button-press-v3",
    "button-press-wall-v3",
    "coffee-button-v3",
    "coffee-pull-v3",
    "coffee-push-v3",
    "dial-turn-v3",
    "disassemble-v3",
    "door-close-v3",
    "door-lock-v3",
    "door-open-v3",
    "door-unlock-v3",
    "hand-insert-v3",
    "drawer-close-v3",
    "drawer-open-v3",
    "faucet-open-v3",
    "faucet-close-v3",
    "hammer-v3",
    "handle-press-side-v3",
    "handle-press-v3",
    "handle-pull-side-v3",
    "handle-pull-v3",
    "lever-pull-v3",
    "pick-place-wall-v3",
    "pick-out-of-hole-v3",
    "pick-place-v3",
    "plate-slide-v3",
    "plate-slide-side-v3",
    "plate-slide-back-v3",
    "plate-slide-back-side-v3",
    "peg-insert-side-v3",
    "peg-unplug-side-v3",
    "soccer-v3",
    "stick-push-v3",
    "stick-pull-v3",
    "push-v3",
    "push-wall-v3",
    "push-back-v3",
    "reach-v3",
    "reach-wall-v3",
    "shelf-place-v3",
    "sweep-into-v3",
    "sweep-v3",
    "window-open-v3",
    "window-close-v3",
)
"""All fifty tasks, in Metaworld's order."""

_UNDOING = (
    ("door-open-v3", "door-close-v3"),
    ("door-lock-v3", "door-unlock-v3"),
    ("drawer-open-v3", "drawer-close-v3"),
    ("handle-press-v3", "handle-pull-v3"),
    ("window-open-v3", "window-close-v3"),
)

REVERSES = dict(_UNDOING) | {after: before for before, after in _UNDOING}
"""Tasks that undo each other in one scene: demonstrations of each also start where the other one ended."""

SCALAR_FIRST_QUATERNIONS = frozenset(
    {
        "assembly-v3",
        "basketball-v3",
        "bin-picking-v3",
        "box-close-v3",
        "button-press-topdown-v3",
        "button-press-topdown-wall-v3",
        "button-press-v3",
        "button-press-wall-v3",
        "coffee-button-v3",
        "dial-turn-v3",
        "disassemble-v3",
        "door-lock-v3",
        "door-unlock-v3",
        "drawer-open-v3",
        "faucet-close-v3",
        "faucet-open-v3",
        "hammer-v3",
        "hand-insert-v3",
        "peg-unplug-side-v3",
        "pick-out-of-hole-v3",
        "sweep-v3",
    }
)
"""Tasks whose objects' quaternions Metaworld gives as wxyz (MuJoCo's order); the others give xyzw, or zeros."""
