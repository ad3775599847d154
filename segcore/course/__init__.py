"""What only the chapters need: exercises and their checkers, recorded results, tiny networks."""
