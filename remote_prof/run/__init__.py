"""One target on one host: plan, deploy, follow, fetch, clean; the local run directory."""
