"""The frozen language model, the signal-token rows and the adapters that train beside it."""

from anyweave.language.causal_lm import CausalLM
from anyweave.language.fetch import ensure_language_model
from anyweave.language.signal_rows import SignalRows

__all__ = ["CausalLM", "SignalRows", "ensure_language_model"]
