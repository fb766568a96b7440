"""Data made of data: instructions from captions, modality-switching dialogues, language models that
write, review and release. Installed beside the library, which never imports it.
"""
