"""Open-loop load: requests are sent when the schedule says, whether or not earlier ones have been answered."""
