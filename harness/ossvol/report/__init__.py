"""Results as text for people, JSON and JUnit for machines."""
