"""The live page: what a person on call sees, from one sample of the server's counters a second."""
