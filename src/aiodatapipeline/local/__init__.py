"""A Data Pipeline on your own machine."""
