"""All that knows Keboola: the Storage API on kbcstorage, and uploads to the project's cloud storage."""
