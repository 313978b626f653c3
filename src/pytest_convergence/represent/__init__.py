"""Responses become features: embeddings, labels, n-grams."""
