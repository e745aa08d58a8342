"""Published evaluation suites: tasks asked in words, judged, and scored with intervals."""
