"""How they are asked: the plan, claims, limits, retries, and the loop that samples."""
