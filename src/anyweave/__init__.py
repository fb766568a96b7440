"""Any-to-any chat: text, images, videos and sounds in and out of one language model (NExT-GPT).

    import anyweave as aw

    chat = aw.load("emoji-mini").chat()
    chat.reply([aw.Image("cat.png"), "its sound?"]).save("out")

The names in `__all__` are imported on first use, so importing the package does not import torch.
Import everything else from its own room, such as `anyweave.training.config`.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from anyweave.garbage import searched_later

if TYPE_CHECKING:
    from anyweave.data import Records, read_messages, write_messages
    from anyweave.evaluation.on_data import evaluate
    from anyweave.generation import ChatSession, GenerationOptions, Reply, ReplyBatcher
    from anyweave.media.showing import show
    from anyweave.messages import Audio, Image, Message, Modality, Text, Video, register_modality
    from anyweave.model import NextGPT
    from anyweave.model.checkpoint import load_pretrained as load
    from anyweave.model.checkpoint import save_pretrained as save_pretrained
    from anyweave.model.extending import with_modality
    from anyweave.model.publishing import push_to_hub as push_to_hub
    from anyweave.training.config import TrainConfig
    from anyweave.training.launch import train

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "ChatSession",
    "GenerationOptions",
    "Image",
    "Message",
    "Modality",
    "NextGPT",
    "Records",
    "Reply",
    "ReplyBatcher",
    "Text",
    "TrainConfig",
    "Video",
    "__version__",
    "evaluate",
    "load",
    "read_messages",
    "register_modality",
    "show",
    "train",
    "with_modality",
    "write_messages",
]

_PLACES = {
    "Audio": "anyweave.messages:Audio",
    "ChatSession": "anyweave.generation:ChatSession",
    "GenerationOptions": "anyweave.generation:GenerationOptions",
    "Image": "anyweave.messages:Image",
    "Message": "anyweave.messages:Message",
    "Modality": "anyweave.messages:Modality",
    "NextGPT": "anyweave.model:NextGPT",
    "Records": "anyweave.data:Records",
    "Reply": "anyweave.generation:Reply",
    "ReplyBatcher": "anyweave.generation:ReplyBatcher",
    "Text": "anyweave.messages:Text",
    "TrainConfig": "anyweave.training.config:TrainConfig",
    "Video": "anyweave.messages:Video",
    "evaluate": "anyweave.evaluation.on_data:evaluate",
    "load": "anyweave.model.checkpoint:load_pretrained",
    "read_messages": "anyweave.data:read_messages",
    "register_modality": "anyweave.messages:register_modality",
    "show": "anyweave.media.showing:show",
    "train": "anyweave.training.launch:train",
    "with_modality": "anyweave.model.extending:with_modality",
    "write_messages": "anyweave.data:write_messages",
    # Not in `__all__`: used by methods of a model.
    "push_to_hub": "anyweave.model.publishing:push_to_hub",
    "save_pretrained": "anyweave.model.checkpoint:save_pretrained",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        near = get_close_matches(name, __all__, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(__all__)}"
        raise AttributeError(f"module 'anyweave' has no attribute {name!r}; {hint}")
    module, _, attribute = _PLACES[name].partition(":")
    with searched_later(lasting="torch" not in sys.modules):
        value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
