"""What computes embeddings: each module imports its library only when it is used."""
