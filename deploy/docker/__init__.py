"""The images: how they are built."""
