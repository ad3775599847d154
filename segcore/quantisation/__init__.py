"""int8: its arithmetic to the bit, training for it, and mending what it does to the means."""
