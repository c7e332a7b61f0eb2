"""Programs to begin with. tests/test_examples.py runs them."""
