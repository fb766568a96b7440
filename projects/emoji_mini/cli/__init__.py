"""Commands: ``demo``, ``eval world|paths|ablation``, ``train part``, ``data world|emoji``."""
