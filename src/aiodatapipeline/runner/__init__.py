"""Work for the tasks of AWS Data Pipeline."""
