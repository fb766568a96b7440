"""The benchmark of the emoji world, and the paper's ablations on emoji-mini."""
