"""Parity: the same calls on a real ossfs and on the simulation, compared call by call and request by request."""
