"""Content as a list of parts, in the forms that chat interfaces and training tools write.

    {"type": "text", "text": "What is this?"}
    {"type": "image", "image": "a.png"}     also under path, url, image_url or image_path
    {"type": "image"}                       the next one in the row's own list
    {"type": "image_url", "image_url": {"url": "a.png"}}
    {"type": "input_audio", "input_audio": {"data": "UklGRg...", "format": "wav"}}

URLs are not fetched; ``data:`` URLs and base64 are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyweave.data.place import Place, is_empty, listed, shown
from anyweave.messages import MEDIA_MODALITIES, Modality
from anyweave.modalities import known_modalities

_TEXTS = ("text", "input_text", "output_text")
_ABOUT = ("type", "text", "index", "detail", "format")  # keys that add nothing about a medium


def read_part(part: Any, key: str, place: Place) -> str | tuple[Modality, Any, str | None]:
    """A part's words, or its modality, what `Place.medium` takes (None: it is in the row's list)
    and its caption. Raises `RowError` for an unknown type, or a medium that is named twice.
    """
    kind = place.object(part, key, required=("type",), optional=None)["type"]
    if kind in _TEXTS:
        place.rest(part, key, ("type", "text", "index"))
        return place.text(part.get("text"), f"{key}.text")
    modality = kind.removeprefix("input_").removesuffix("_url") if isinstance(kind, str) else ""
    if modality not in MEDIA_MODALITIES or kind == f"input_{modality}_url":
        forms = (form for m in known_modalities() for form in (m, f"{m}_url", f"input_{m}"))
        known = listed((*_TEXTS[:1], *forms))
        raise place.error(key, f"unknown type {shown(kind)}; a type is {known}")
    names = [modality, "path", "url", *(f"{modality}_{end}" for end in ("url", "path"))]
    names.append(f"input_{modality}")
    found = [name for name in names if not is_empty(part.get(name))]
    if len(found) > 1:
        raise place.error(key, f"its medium is named {len(found)} times, by {listed(found)}")
    if not is_empty(part.get("text")):
        raise place.error(key, f"the words of a part of type {kind} have no place; make them one")
    caption = part.get("caption")
    place.rest(part, key, (*names, *_ABOUT, "caption"))
    if not found:
        return modality, None, caption
    return modality, _source(part[found[0]], f"{key}.{found[0]}", place), caption


def _source(value: Any, key: str, place: Place) -> Any:
    """A part's reference to its medium, unwrapped."""
    if not isinstance(value, Mapping) or {"bytes", "path"} & set(value):
        return value
    if "data" in value:
        return place.decoded(value["data"], f"{key}.data")
    if "url" not in value:
        raise place.error(key, f"a path, or an object with url or data, got {shown(value)}")
    place.rest(value, key, ("url", *_ABOUT))
    return value["url"]
