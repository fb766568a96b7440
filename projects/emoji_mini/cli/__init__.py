"""Commands: ``demo``, ``eval world|ablation``, ``train part``, ``data world|emoji``."""
