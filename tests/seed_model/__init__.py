"""What the two models of Sluicegate document of themselves, as a table of steps, against the gate."""
