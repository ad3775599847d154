"""Exercises by chapter: `chapterNN.EXERCISES` maps a slug to a `segcore.course.checks.Exercise`."""
