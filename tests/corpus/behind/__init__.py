"""The servers behind the gate, and what each of them makes of the bytes that it is sent."""
