"""Recipes for the frozen parts of `emoji-mini`: what others download, this project trains itself.

Each part is a module and a command (``anyweave train part NAME``); `recipes` has them all.
"""
