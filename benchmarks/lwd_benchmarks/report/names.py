"""Keys of a study's results and what the document calls them; their order is the document's."""

SETS = {"mt10": "MT10", "mt50": "MT50"}
GOALS = {"visible": "visible", "hidden": "hidden"}
METHODS = {
    "lwd": "LWD",
    "regression_hypernetwork": "regression hypernetwork",
    "nearest_latent": "nearest latent",
    "mean_latent": "mean latent",
    "task_mlp": "one MLP per task",
    "multitask_mlp": "multi-task MLP",
    "expert": "scripted expert",
}
GROUPS = ("main", "size", "demonstrations", "budget", "rate")

COLOURS = {"lwd": "#0072B2", "multitask_mlp": "#D55E00", "task_mlp": "#009E73"}
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart."""

MARKERS = {"lwd": "o", "multitask_mlp": "s", "task_mlp": "^"}
