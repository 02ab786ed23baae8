"""How good a classifier is, with an interval that knows the patients; numpy and scipy only."""
