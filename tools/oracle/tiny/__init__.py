"""The parts of make_tiny.py: which fixtures there are, their vocabulary, the models of transformers, block types, GGUF, expectations."""
