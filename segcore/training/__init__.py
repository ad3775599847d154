"""Losses, optimizers and the run: what turns a network into a trained one."""
