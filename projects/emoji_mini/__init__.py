"""What made `emoji-mini`: its world, its parts' training, its recipes, its benchmark."""
