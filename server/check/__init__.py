"""`python -m server check`: what this server and Triton would reject or ignore, said before anything is started."""
