"""Lessons: questions of the field's tutorials, answered by a prediction first and an experiment after it."""
