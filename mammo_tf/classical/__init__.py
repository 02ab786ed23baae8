"""What was done before nets learned end to end: features by formula and classifiers on them; no TensorFlow."""
