"""Recipes for the frozen parts of `emoji-mini`: what others download, this project trains itself.

Each part is one function and one command (``anyweave train part NAME``): `autoencoder`,
`contrast`, `diffusion`, `encoder`, `warmup`.
"""
