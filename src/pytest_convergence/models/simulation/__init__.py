"""The simulated panel, in the order of its data: files read, prompts recognised, answers drawn."""
