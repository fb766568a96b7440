"""Messages become samples, samples become batches: one processor for training, chat, evaluation and
serving.
"""

from anyweave.processing.cache import FeatureCache, fingerprint, media_digest, text_digest
from anyweave.processing.cached import Fingerprints, SampleCache
from anyweave.processing.collate import bucketed_batches, collate
from anyweave.processing.layout import ConversationTooLongError
from anyweave.processing.processor import MediaEncoder, Processor
from anyweave.processing.signals import SignalTokens
from anyweave.processing.template import TEMPLATES, Template

__all__ = [
    "TEMPLATES",
    "ConversationTooLongError",
    "FeatureCache",
    "Fingerprints",
    "MediaEncoder",
    "Processor",
    "SampleCache",
    "SignalTokens",
    "Template",
    "bucketed_batches",
    "collate",
    "fingerprint",
    "media_digest",
    "text_digest",
]
