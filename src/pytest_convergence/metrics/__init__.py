"""Pure measures over arrays: the estimand, agreement, diversity, entropy, distributions."""
