"""One merged result, shown: terminal, JSON, JUnit, GitHub, HTML."""
