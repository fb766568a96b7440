"""The emoji world: scenes with exact truth, their renderings, captions and conversations."""
