"""What Sluicegate costs, measured beside its peers: `make bench`."""
