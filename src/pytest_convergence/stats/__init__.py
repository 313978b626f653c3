"""Pure inference: intervals, permutation tests, multiplicity, equivalence, clusters."""
