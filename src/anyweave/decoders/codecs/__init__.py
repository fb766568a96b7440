"""Latents <-> media, by modality: what `codec.Codec` says, over a picture VAE."""
