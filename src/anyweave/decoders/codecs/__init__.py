"""Latents <-> media, by modality: implementations of `codec.Codec` on top of a picture VAE."""
