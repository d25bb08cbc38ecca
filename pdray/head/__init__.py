"""A Ray head and an MLflow server on this machine, for jobs that are submitted to them."""
