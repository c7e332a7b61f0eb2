"""What moves the state: synchronous code over the store, told the time by its caller."""
