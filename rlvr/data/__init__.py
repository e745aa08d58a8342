"""Where tasks, demonstrations, preferences and documents come from."""
