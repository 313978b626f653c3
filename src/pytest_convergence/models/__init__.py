"""Who is asked: model specs, decoding parameters, and one adapter for each wire format."""
