"""The command line: options to requests, results to exit codes."""
