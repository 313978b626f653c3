"""Did it change since last time? What a baseline keeps, and the gate that compares with it."""
