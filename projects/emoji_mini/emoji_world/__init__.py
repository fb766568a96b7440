"""The emoji world, version 1: what emoji-mini draws, films, plays and speaks of.

Things, sounds and phrases are TOML tables; scenes are data; rendering is a pure function of a
scene.
"""
